"""``train()`` and ``eval()`` of everything that is a module, and the modes of networks that are asked."""

from typing import Any

import pytest
import torch
from mixer_scene import BUILDERS, Net, build, generator, pictures
from torch import nn

from ssl_mix import losses
from ssl_mix.evaluation import plain_features, predict_probabilities
from ssl_mix.losses import LogitAdjustedLoss, LUMixLoss, lumix_lam
from ssl_mix.types import MixedTarget

CRITERIA = [
    criterion
    for name in losses.__all__
    if isinstance(criterion := getattr(losses, name), type) and issubclass(criterion, nn.Module)
]
LEARNED = [name for name, make in BUILDERS.items() if isinstance(make(), nn.Module)]


def batch() -> tuple[torch.Tensor, MixedTarget]:
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(5, (2, 9), generator=draw)
    return torch.randn(9, 5, generator=draw), MixedTarget(*labels, torch.rand(9, generator=draw))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_criterion_draws_nothing_in_evaluation(criterion: type[nn.Module]) -> None:
    logits, target = batch()
    counts = {"class_counts": torch.arange(1, 6)} if issubclass(criterion, LogitAdjustedLoss) else {}
    made, before = criterion(**counts).eval(), torch.get_rng_state()
    first = made(logits, target)
    assert torch.equal(first, made(logits, target))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", ["softmax", "bce"])
@pytest.mark.parametrize("dense", [False, True])
def test_lumix_perturbs_while_training_alone(kind: Any, dense: bool) -> None:
    logits, target = batch()
    given = target.dense(5) if dense else target
    source = torch.Generator().manual_seed(1)
    criterion, before = LUMixLoss(kind=kind, generator=source), source.get_state()
    plain = LUMixLoss(kind=kind, random_ratio=0.0, score_ratio=0.0)(logits, given)
    evaluated = criterion.eval()(logits, given)
    torch.testing.assert_close(evaluated, plain)
    assert torch.equal(criterion(logits, given, torch.rand(9)), evaluated)
    assert torch.equal(before, source.get_state())
    assert not torch.allclose(criterion.train()(logits, given), plain)
    assert not torch.equal(before, source.get_state())


def test_the_function_draws_whatever_the_mode_of_anything() -> None:
    logits, target = batch()
    assert not torch.equal(lumix_lam(logits, *target), target.lam)


@pytest.mark.parametrize("name", LEARNED)
def test_a_learned_mixer_learns_while_training_alone(name: str, nets: dict[int, Net]) -> None:
    mixer, labels = build(name, nets), torch.arange(6) % 4
    lesson = mixer.mix_batch(pictures(), labels, net=nets[3], generator=generator())
    assert lesson.loss is not None and lesson.loss.requires_grad
    batch = mixer.eval().mix_batch(pictures(), labels, net=nets[3], generator=generator())
    assert batch.loss is None
    assert torch.equal(batch.images, lesson.images) and not batch.images.requires_grad
    assert mixer.train().mix_batch(pictures(), labels, net=nets[3], generator=generator()).loss is not None


@pytest.mark.parametrize(
    "name", [n for n, make in BUILDERS.items() if "net" in make().needs and n != "tokenmixup"]
)
@pytest.mark.parametrize("training", [True, False])
def test_a_network_that_is_asked_keeps_its_modes(name: str, training: bool, nets: dict[int, Net]) -> None:
    mixer, net = build(name, nets), nets[3].train(training)
    net.two.train(not training)
    before = {key: module.training for key, module in net.named_modules()}
    with mixer.applied(net, pictures(), torch.arange(6) % 4, generator=generator()) as mixed:
        net(mixed.images)
    assert {key: module.training for key, module in net.named_modules()} == before
    net.train()


class Broken(nn.Module):
    """A network that fails."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = nn.Dropout(), nn.Linear(2, 2)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("broken")

    forward = features


@pytest.mark.parametrize("function", [predict_probabilities, plain_features])
def test_a_network_that_fails_keeps_its_modes(function: Any) -> None:
    from ssl_mix.datasets import load_digits_data

    data, net = load_digits_data(), Broken()
    net.body.eval()
    with pytest.raises(RuntimeError, match="broken"):
        function(net, data.test.images, data.augmentation, torch.device("cpu"))
    assert net.training and net.head.training and not net.body.training
