"""The criteria are their functions with the options stored."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_mix.losses import (
    AsymmetricMixupLoss,
    DecoupledMixupBCELoss,
    DecoupledMixupLoss,
    LUMixLoss,
    asymmetric_mixup_cross_entropy,
    decoupled_mixup_cross_entropy,
)
from ssl_mix.types import MixedTarget

REDUCTIONS = ("mean", "none", "sum")


def batch() -> tuple[Tensor, MixedTarget]:
    draw = torch.Generator().manual_seed(0)
    labels_a, labels_b = torch.randint(4, (2, 9), generator=draw)
    target = MixedTarget(labels_a, labels_b, torch.rand(9, generator=draw) / 2)
    return torch.randn(9, 5, generator=draw), target


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [{}, {"eta": 0.7}, {"sides": "minor"}, {"eta_power": 1.0}])
def test_decoupled_mixup(options: dict[str, Any], reduction: str) -> None:
    logits, target = batch()
    expected = decoupled_mixup_cross_entropy(logits, *target, **options, reduction=reduction)
    assert torch.equal(DecoupledMixupLoss(**options, reduction=reduction)(logits, target), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("options", [{}, {"eta": 0.7}, {"eta_power": 1.0}])
@pytest.mark.parametrize("mask", [None, torch.arange(9) % 2 == 0])
def test_asymmetric(options: dict[str, Any], reduction: str, mask: Tensor | None) -> None:
    logits, target = batch()
    expected = asymmetric_mixup_cross_entropy(logits, *target, mask=mask, **options, reduction=reduction)
    assert torch.equal(AsymmetricMixupLoss(**options, reduction=reduction)(logits, target, mask), expected)


@pytest.mark.parametrize("criterion", [DecoupledMixupLoss, AsymmetricMixupLoss])
def test_every_option_changes_the_loss(criterion: Any) -> None:
    logits, target = batch()
    default = criterion()(logits, target)
    options = [{"eta": 0.5}, {"eta_power": 1.0}, {"reduction": "sum"}]
    options += [{"sides": "minor"}, {"sides": "major"}] if criterion is DecoupledMixupLoss else []
    assert all(criterion(**option)(logits, target) != default for option in options)


@pytest.mark.parametrize("criterion", [DecoupledMixupLoss(0.25, eta_power=2.0), AsymmetricMixupLoss(0.25)])
def test_print_shows_the_options_and_there_is_nothing_to_learn(criterion: Any) -> None:
    assert "0.25" in repr(criterion)
    assert not list(criterion.parameters())
    assert not criterion.state_dict()


@pytest.mark.parametrize(
    "criterion",
    [DecoupledMixupLoss(), AsymmetricMixupLoss(), DecoupledMixupBCELoss(), LUMixLoss(random_ratio=0.0)],
)
def test_plain_tuples_are_mixed_targets(criterion: Any) -> None:
    logits, (labels_a, labels_b, lam) = batch()
    expected = criterion(logits, MixedTarget(labels_a, labels_b, lam))
    assert torch.equal(criterion(logits, (labels_a, labels_b, lam)), expected)
    one_lam = criterion(logits, MixedTarget(labels_a, labels_b, torch.full((9,), 0.3)))
    assert torch.equal(criterion(logits, (labels_a, labels_b, 0.3)), one_lam)
