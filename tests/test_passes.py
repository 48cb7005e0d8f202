"""Forward passes and which statistics they move."""

import copy

import torch
from torch import Tensor, nn

from ssl_mix.models import SmallCNN
from ssl_mix.models.freeze import keep_statistics
from ssl_mix.passes import apart, batch_statistics, together, with_answers


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_one_pass_for_all_parts_equals_one_batch() -> None:
    net = SmallCNN(3, channels=1).train()
    first, second = noise(4, 1, 8, 8), noise(7, 1, 8, 8, seed=1)
    whole = net(torch.cat((first, second)))
    torch.testing.assert_close(torch.cat(together(net, first, second)), whole)


def test_a_teacher_normalizes_by_the_batch_and_remembers_nothing() -> None:
    student, teacher = SmallCNN(3, channels=1).train(), SmallCNN(3, channels=1).eval()
    teacher.load_state_dict(student.state_dict())
    dropout = nn.Sequential(teacher, nn.Dropout(0.5)).eval()
    images, before = noise(6, 1, 8, 8), {k: v.clone() for k, v in teacher.state_dict().items()}
    with batch_statistics(dropout):
        found = dropout(images)
    torch.testing.assert_close(found, apart(student, images))
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert not any(module.training for module in dropout.modules())


def views(count: int) -> dict[str, Tensor]:
    return {"weak": noise(count, 1, 8, 8, seed=1), "strong": noise(count, 1, 8, 8, seed=2)}


def test_views_apart_normalize_by_themselves_and_strong_ones_are_not_remembered() -> None:
    net = SmallCNN(3, channels=1).train()
    other = copy.deepcopy(net)
    x, unlabeled = noise(4, 1, 8, 8), views(7)
    found = with_answers(net, x, unlabeled, "apart")
    logits_x, logits_weak = other(x), other(unlabeled["weak"])
    torch.testing.assert_close(net.state_dict(), other.state_dict())
    torch.testing.assert_close(found, (logits_x, logits_weak, other(unlabeled["strong"])))
    assert [logits.requires_grad for logits in found] == [True, False, True]


def test_answers_need_no_gradient_where_nothing_follows_the_batch() -> None:
    x, unlabeled = noise(4, 1, 8, 8), views(7)
    net = SmallCNN(3, channels=1).train()
    assert with_answers(net, x, unlabeled, "together")[1].requires_grad
    wanted = together(net.eval(), x, *unlabeled.values())
    keep_statistics(net.modules())
    found = with_answers(net.train(), x, unlabeled, "together")
    torch.testing.assert_close(found, wanted)
    assert not found[1].requires_grad
