"""Semantic equivariance: distances in float64 NumPy, and where the gradient goes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import semantic_equivariance

DISTANCES = {
    "mse": lambda x, y: ((x - y) ** 2).mean(),
    "l1": lambda x, y: np.abs(x - y).mean(),
    "cosine": lambda x, y: 1 - (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum()),
}


def batch() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    draw = np.random.default_rng(0)
    return (*draw.standard_normal((3, 6, 2, 4)), np.array([0, 1, 0.5, 0.3, 0.7, 1e-6]))


@pytest.mark.parametrize("distance", list(DISTANCES))
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_formula(reference: Any, assert_close: Callable[..., Any], distance: str, reduction: str) -> None:
    rows = zip(*batch(), strict=True)
    expected = np.array([DISTANCES[distance](x, lam * a + (1 - lam) * b) for x, a, b, lam in rows])
    actual = semantic_equivariance(*map(torch.from_numpy, batch()), distance=distance, reduction=reduction)
    assert_close(actual, reference.reduce(expected, reduction))


@pytest.mark.parametrize("distance", list(DISTANCES))
def test_gradient(distance: str) -> None:
    *given, lam = map(torch.from_numpy, batch())
    features = [each.requires_grad_() for each in given]

    def loss(mixed: Tensor, one: Tensor, other: Tensor, **options: Any) -> Tensor:
        return semantic_equivariance(mixed, one, other, lam, distance=distance, **options)

    assert torch.autograd.gradcheck(loss, features)
    loss(features[0], features[1], features[2], stop_grad_clean=True).backward()
    assert features[0].grad.any()
    assert features[1].grad is None
    assert features[2].grad is None


@pytest.mark.parametrize("distance", list(DISTANCES))
def test_features_of_zero_have_a_finite_gradient_and_half_precision_is_float32(distance: str) -> None:
    zero = torch.zeros(2, 3, dtype=torch.bfloat16, requires_grad=True)
    loss = semantic_equivariance(zero, zero, zero, torch.tensor([0.3, 0.123456789]), distance=distance)
    loss.backward()
    assert loss.dtype == torch.float32
    assert zero.grad.isfinite().all()


def test_lam_is_not_rounded_to_half_precision() -> None:
    ones = torch.ones(1, 2, dtype=torch.bfloat16)
    loss = semantic_equivariance(0 * ones, ones, 0 * ones, torch.tensor([0.123456789]), distance="l1")
    assert loss.item() == pytest.approx(0.123456789, rel=1e-6)


def test_mistakes() -> None:
    x = torch.zeros(2, 3)
    with pytest.raises(UserError, match="distance"):
        semantic_equivariance(x, x, x, 0.5, distance="l2")
    with pytest.raises(UserError, match="clean_b"):
        semantic_equivariance(x, x, x[:1], 0.5)
