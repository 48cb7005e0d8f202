"""Decoupling among any number of classes: deleted scores in float64 NumPy, and the two-class case."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import DecoupledMixupLoss, decoupled_cross_entropy, multiway_decoupled_cross_entropy


def multiway(
    reference: Any, scores: NDArray[Any], labels: NDArray[Any], weights: NDArray[Any], eta_power: float = 0.0
) -> Any:
    """D of one sample: for each distinct class, the softmax after all other listed classes are deleted."""
    listed = sorted(set(labels.tolist()))
    shown = [own for own in listed if weights[labels == own].sum() > 0]
    total = 0.0
    for own in listed if len(shown) > 1 else []:
        weight = weights[labels == own].sum()
        others = [c for c in listed if c != own]
        left = np.delete(scores, others)
        place = own - sum(c < own for c in others)
        total += weight**eta_power * -reference.log_softmax(left)[place] if weight > 0 else 0.0
    return total


def batch(classes: int, mixed: int, samples: int = 20) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(classes + mixed)
    labels = draw.integers(classes, size=(samples, mixed))
    weights = draw.dirichlet(np.ones(mixed), size=samples)
    weights[::4, 0] = 0
    weights /= weights.sum(1, keepdims=True)
    labels[::5] = labels[::5, :1]
    return 3 * draw.standard_normal((samples, classes)), labels, weights


@pytest.mark.parametrize(("classes", "mixed"), [(10, 3), (10, 4), (4, 3), (3, 3), (5, 2), (1000, 5)])
@pytest.mark.parametrize("eta_power", [0.0, 1.0, 0.5])
def test_formula(
    reference: Any, assert_close: Callable[..., Any], classes: int, mixed: int, eta_power: float
) -> None:
    columns = batch(classes, mixed)
    expected = [multiway(reference, *row, eta_power) for row in zip(*columns, strict=True)]
    actual = multiway_decoupled_cross_entropy(
        *map(torch.from_numpy, columns), eta_power=eta_power, reduction="none"
    )
    assert_close(actual, expected)


@pytest.mark.parametrize("eta_power", [0.0, 1.0])
def test_two_classes_are_the_existing_loss(case: Any, eta_power: float) -> None:
    logits, labels_a, labels_b, lam = map(torch.from_numpy, case)
    labels, weights = torch.stack((labels_a, labels_b), 1), torch.stack((lam, 1 - lam), 1)
    options = {"eta_power": eta_power, "reduction": "none"}
    expected = decoupled_cross_entropy(logits, labels_a, labels_b, lam, **options)
    assert torch.equal(multiway_decoupled_cross_entropy(logits, labels, weights, **options), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_dense_targets_of_three_classes(
    reference: Any, assert_close: Callable[..., Any], smoothing: float
) -> None:
    logits, labels, weights = batch(8, 3)
    dense = np.zeros((20, 8))
    np.add.at(dense, (np.arange(20)[:, None], labels), weights)
    soft = dense * (1 - smoothing) + smoothing / 8
    expected = []
    for scores, row, target in zip(logits, dense, soft, strict=True):
        present = np.flatnonzero(row)
        expected.append(
            reference.soft(scores, target) + 0.7 * multiway(reference, scores, present, row[present])
        )
    criterion = DecoupledMixupLoss(0.7, classes=3, reduction="none")
    assert_close(criterion(*map(torch.from_numpy, (logits, soft))), expected)


def test_removed_classes_get_no_gradient_from_the_others() -> None:
    logits = torch.randn(
        1, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    labels, weights = torch.tensor([[4, 1, 2]]), torch.tensor([[0.7, 0.3, 0.0]])
    multiway_decoupled_cross_entropy(logits, labels, weights).backward()
    assert logits.grad[0, 2] == 0
    assert (logits.grad[0, [1, 4]] < 0).all()
    assert (logits.grad[0, [0, 3, 5]] > 0).all()


def test_gradient_numerically_first_and_second() -> None:
    logits, labels, weights = map(torch.from_numpy, batch(6, 3, samples=5))

    def loss(logits: Tensor) -> Tensor:
        return multiway_decoupled_cross_entropy(logits, labels, weights, eta_power=0.5)

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())
    assert torch.autograd.gradgradcheck(loss, logits)


@pytest.mark.parametrize("options", [{"classes": 1}, {"classes": 3, "sides": "minor"}])
def test_wrong_number_of_classes(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="classes"):
        DecoupledMixupLoss(**options)


def test_shapes() -> None:
    labels, weights = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3)
    with pytest.raises(UserError, match="labels"):
        multiway_decoupled_cross_entropy(torch.zeros(2, 5), labels.float(), weights)
    with pytest.raises(UserError, match="weights"):
        multiway_decoupled_cross_entropy(torch.zeros(2, 5), labels, weights[:, :2])
