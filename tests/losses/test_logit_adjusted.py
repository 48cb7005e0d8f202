"""Logit adjustment and balanced softmax: their formulas in NumPy, and numerical gradients."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import (
    BalancedSoftmaxLoss,
    DecoupledMixupLoss,
    LogitAdjustedLoss,
    adjusted_logits,
    balanced_softmax_cross_entropy,
    logit_adjusted_cross_entropy,
)
from ssl_mix.types import MixedTarget

COUNTS = torch.tensor([500, 60, 7, 1])
LOGITS = torch.from_numpy(3 * np.random.default_rng(0).standard_normal((6, 4))).requires_grad_()
LABELS = torch.tensor([0, 1, 2, 3, 3, 0])


def test_balanced_softmax() -> None:
    """Class y has the share ``n_y e^z_y`` of what all have."""
    weighted = COUNTS.numpy() * np.exp(LOGITS.detach().numpy())
    own = weighted[np.arange(6), LABELS.numpy()]
    found = balanced_softmax_cross_entropy(LOGITS, LABELS, COUNTS, reduction="none")
    np.testing.assert_allclose(found.detach().numpy(), np.log(weighted.sum(axis=1) / own), rtol=1e-12)
    assert BalancedSoftmaxLoss(COUNTS)(LOGITS, LABELS).isclose(found.mean(), rtol=1e-12)


@pytest.mark.parametrize("tau", [0.0, 0.5, 2.0])
def test_logit_adjustment_of_one_class_and_of_two(tau: float) -> None:
    """Priors to the power of tau are factors of ``e^z``; decoupled mixup leaves the other class of a mixed
    image out of what all have."""
    weighted = np.exp(LOGITS.detach().numpy()) * (COUNTS.numpy() / 568) ** tau
    rows, a, b = np.arange(6), LABELS.numpy(), LABELS.roll(1).numpy()
    of_a, of_b, every = weighted[rows, a], weighted[rows, b], weighted.sum(axis=1)
    found = logit_adjusted_cross_entropy(LOGITS, LABELS, COUNTS, tau=tau, reduction="none")
    np.testing.assert_allclose(found.detach().numpy(), np.log(every / of_a), rtol=1e-12)
    assert LogitAdjustedLoss(COUNTS, tau)(LOGITS, LABELS).isclose(found.mean(), rtol=1e-12)
    lam = np.array([0.5, 0.3, 0.9, 0.2, 0.6, 0.7])
    mixed = lam * np.log(every / of_a) + (1 - lam) * np.log(every / of_b)
    decoupled = np.log((every - of_b) / of_a) + np.log((every - of_a) / of_b)
    expected = mixed + 0.3 * np.where(a == b, 0, decoupled)
    criterion = LogitAdjustedLoss(COUNTS, tau, DecoupledMixupLoss(0.3, reduction="none"))
    got = criterion(LOGITS, MixedTarget(LABELS, LABELS.roll(1), torch.from_numpy(lam)))
    np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-6)


def test_gradients_numerically() -> None:
    lam = torch.tensor([0.5, 0.3, 0.9, 0.2, 0.6, 1.0], dtype=torch.float64)
    partners = LABELS.roll(1)
    criterion = LogitAdjustedLoss(COUNTS, 0.7, DecoupledMixupLoss(0.5, reduction="none"))

    def plain(logits: Tensor) -> Tensor:
        return logit_adjusted_cross_entropy(logits, LABELS, COUNTS, tau=0.7, reduction="none")

    def mixed(logits: Tensor) -> Tensor:
        found: Tensor = criterion(logits, MixedTarget(LABELS, partners, lam))
        return found

    assert torch.autograd.gradcheck(plain, LOGITS) and torch.autograd.gradcheck(mixed, LOGITS)


def test_a_balanced_network_learns_what_the_prior_hides() -> None:
    """With a prior of 9 : 1 and no other evidence the best adjusted logits are equal."""
    labels, counts = torch.tensor([0] * 9 + [1]), torch.tensor([9, 1])
    bias = torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    for _ in range(200):
        loss = balanced_softmax_cross_entropy(bias.expand(10, 2), labels, counts)
        (step,) = torch.autograd.grad(loss, bias)
        bias = (bias - 2 * step).detach().requires_grad_()
    assert abs((bias[0] - bias[1]).item()) < 1e-6


def test_images_of_pixels_and_half_precision() -> None:
    deep = LOGITS.detach().float()[:, :, None].expand(6, 4, 3)
    found = adjusted_logits(deep, COUNTS)
    assert torch.equal(found[..., 1], adjusted_logits(deep[..., 1], COUNTS))
    assert adjusted_logits(deep.half(), COUNTS).dtype == torch.float32


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        (torch.tensor([1, 0, 2, 3]), "all be above 0"),
        (torch.tensor([1.0, torch.nan, 2, 3]), "all be above 0"),
        (torch.ones(3), r"tensor \(4,\), one per class, got \(3,\)"),
        ([1, 2, 3, 4], "one per class, got list"),
    ],
)
def test_wrong_counts_are_refused(counts: Tensor, said: str) -> None:
    with pytest.raises(UserError, match=said):
        logit_adjusted_cross_entropy(LOGITS, LABELS, counts)


def test_wrong_options_are_refused() -> None:
    with pytest.raises(UserError, match=r"torch\.as_tensor\(class_counts\)"):
        BalancedSoftmaxLoss([1, 2, 3, 4])  # type: ignore[arg-type]
    with pytest.raises(UserError, match="tau must not be negative"):
        LogitAdjustedLoss(COUNTS, -1.0)
    with pytest.raises(UserError, match="4"):
        logit_adjusted_cross_entropy(LOGITS, LABELS + 1, COUNTS)
