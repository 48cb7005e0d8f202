"""Gradients: numerical differentiation, and the closed forms of the paper's two propositions."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_mix.losses import (
    DecoupledMixupLoss,
    asymmetric_mixup_cross_entropy,
    decoupled_cross_entropy,
    decoupled_mixup_cross_entropy,
    mixup_cross_entropy,
)

LABELS_A = torch.tensor([0, 1, 2, 0, 1, 2])
LABELS_B = torch.tensor([1, 1, 0, 2, 2, 1])
LAM = torch.tensor([0.5, 0.3, 0.0, 1.0, 1e-6, 0.9], dtype=torch.float64)
OPTIONS = [{"sides": sides, "eta_power": t} for sides in ("both", "minor", "major") for t in (0.0, 1.5)]


def random_logits(classes: int, scale: float = 3.0) -> torch.Tensor:
    draw = np.random.default_rng(classes)
    return torch.from_numpy(scale * draw.standard_normal((6, classes))).requires_grad_()


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def gradient(loss: Tensor, logits: Tensor) -> NDArray[Any]:
    return torch.autograd.grad(loss, logits)[0].numpy()


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("options", OPTIONS)
def test_decoupled_mixup_numerically(classes: int, options: dict[str, Any]) -> None:
    def loss(logits: Tensor) -> Tensor:
        return decoupled_mixup_cross_entropy(
            logits, LABELS_A, LABELS_B, LAM, eta=0.7, reduction="none", **options
        )

    assert torch.autograd.gradcheck(loss, random_logits(classes))


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("eta_power", [0.0, 1.5])
def test_asymmetric_numerically(classes: int, eta_power: float) -> None:
    mask = torch.tensor([1, 0, 1, 1, 0.5, 1], dtype=torch.float64)

    def loss(logits: Tensor) -> Tensor:
        return asymmetric_mixup_cross_entropy(
            logits, LABELS_A, LABELS_B, LAM / 2, mask=mask, eta=0.7, eta_power=eta_power, reduction="none"
        )

    assert torch.autograd.gradcheck(loss, random_logits(classes))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_dense_targets_numerically(smoothing: float) -> None:
    lam = torch.tensor([0.7, 1.0, 0.4, 0.0, 0.55, 0.9], dtype=torch.float64)[:, None]
    one_hot = torch.eye(10, dtype=torch.float64) * (1 - smoothing) + smoothing / 10
    target = lam * one_hot[LABELS_A] + (1 - lam) * one_hot[LABELS_B]
    criterion = DecoupledMixupLoss(0.7, eta_power=0.5, reduction="none")
    assert torch.autograd.gradcheck(lambda logits: criterion(logits, target), random_logits(10))


def test_two_classes_numerically() -> None:
    labels_a, labels_b = LABELS_A.clamp(max=1), LABELS_B.clamp(max=1)

    def loss(logits: Tensor) -> Tensor:
        return decoupled_mixup_cross_entropy(logits, labels_a, labels_b, LAM, eta=0.7, reduction="none")

    assert torch.autograd.gradcheck(loss, random_logits(2))


def test_second_derivatives_numerically() -> None:
    def loss(logits: Tensor) -> Tensor:
        return decoupled_mixup_cross_entropy(logits, LABELS_A, LABELS_B, LAM, eta=0.7)

    assert torch.autograd.gradgradcheck(loss, random_logits(4, scale=1.0))


def test_mixup_is_differentiable_in_lam() -> None:
    logits, lam = random_logits(10), torch.tensor([0.5, 0.3, 0.2, 0.8, 0.1, 0.9], dtype=torch.float64)

    def loss(lam: Tensor) -> Tensor:
        return mixup_cross_entropy(logits.detach(), LABELS_A, LABELS_B, lam, reduction="none")

    assert torch.autograd.gradcheck(loss, lam.requires_grad_())


def test_proposition_1_the_gradient_of_mixup_regresses_lam() -> None:
    logits = random_logits(10)
    loss = mixup_cross_entropy(logits, LABELS_A, LABELS_B, LAM, reduction="sum")
    expected = np.stack([softmax(row) for row in logits.detach().numpy()])
    for row, a, b, lam in zip(expected, LABELS_A.tolist(), LABELS_B.tolist(), LAM.tolist(), strict=True):
        row[a] -= lam
        row[b] -= 1 - lam
    np.testing.assert_allclose(gradient(loss, logits), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("lam", [1e-6, 0.1, 0.5, 0.9])
def test_proposition_2_the_gradient_of_a_half_is_phi_minus_one_whatever_lam(
    reference: Any, lam: float
) -> None:
    logits = random_logits(10, scale=2.0)
    labels_a, labels_b = LABELS_A, (LABELS_A + 4) % 10
    half = "minor" if lam < 0.5 else "major"
    loss = decoupled_cross_entropy(logits, labels_a, labels_b, lam, sides=half, reduction="sum")
    actual = gradient(loss, logits)
    for row, scores, a, b in zip(
        actual, logits.detach().numpy(), labels_a.tolist(), labels_b.tolist(), strict=True
    ):
        expected = np.insert(softmax(np.delete(scores, b)), b, 0.0)
        expected[a] -= 1
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-14)
        assert row[b] == 0
        assert row[a] == pytest.approx(-1 + np.exp(reference.log_phi(scores, a, b)), abs=1e-14)


@pytest.mark.parametrize("lam", [None, 1e-6, 0.5, 0.99])
def test_proposition_2_both_halves_together(reference: Any, lam: float | None) -> None:
    logits = random_logits(10)
    labels_a, labels_b = LABELS_A, (LABELS_A + 4) % 10
    loss = decoupled_cross_entropy(logits, labels_a, labels_b, lam, reduction="sum")
    actual = gradient(loss, logits)
    for row, scores, a, b in zip(
        actual, logits.detach().numpy(), labels_a.tolist(), labels_b.tolist(), strict=True
    ):
        for own, competitor in ((a, b), (b, a)):
            expected = -1 + np.exp(reference.log_phi(scores, own, competitor))
            assert row[own] == pytest.approx(expected, abs=1e-14)


def test_asymmetric_pushes_the_guess_only_through_its_cross_entropy() -> None:
    logits = random_logits(10)
    labels, guesses = LABELS_A, (LABELS_A + 4) % 10
    with_term, without = (
        gradient(
            asymmetric_mixup_cross_entropy(logits, labels, guesses, 0.3, eta=eta, reduction="sum"), logits
        )
        for eta in (1.0, 0.0)
    )
    rows = torch.arange(6)
    assert (with_term[rows, guesses] == without[rows, guesses]).all()
    assert (with_term[rows, labels] < without[rows, labels]).all()


def test_a_masked_sample_has_no_gradient_and_still_counts_in_the_mean() -> None:
    logits = random_logits(10)
    mask = torch.tensor([1, 0, 1, 0, 1, 0], dtype=torch.float64)
    args = (logits, LABELS_A, (LABELS_A + 4) % 10, 0.3)
    masked = gradient(asymmetric_mixup_cross_entropy(*args, mask=mask), logits)
    unmasked = gradient(asymmetric_mixup_cross_entropy(*args, reduction="sum"), logits)
    assert not masked[1::2].any()
    np.testing.assert_allclose(masked[::2], unmasked[::2] / 6, rtol=0, atol=1e-15)


def test_gradients_per_sample_by_vmap() -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 5, dtype=torch.float64, generator=draw)
    rest = (*torch.randint(5, (2, 6), generator=draw), torch.rand(6, dtype=torch.float64, generator=draw))

    def of_one(*sample: Tensor) -> Tensor:
        return decoupled_mixup_cross_entropy(*(each[None] for each in sample))

    found = torch.func.vmap(torch.func.grad(of_one))(logits, *rest)
    each = [torch.func.grad(of_one)(*sample) for sample in zip(logits, *rest, strict=True)]
    torch.testing.assert_close(found, torch.stack(each), rtol=0, atol=1e-15)
