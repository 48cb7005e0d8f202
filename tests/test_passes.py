"""Forward passes and which statistics they move."""

import torch
from torch import Tensor, nn

from ssl_mix.models import SmallCNN
from ssl_mix.passes import apart, batch_statistics, together


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
