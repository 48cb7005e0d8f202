"""Formulas over whole batches in float64 NumPy, for readers who check a method without having seen how it is
written here.

All are analytic in the logits: fed with ``w + ih d`` a loss returns its slope along d, exactly.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
STEP = 1e-30


def softmax(z: Any, axis: int = -1) -> Any:
    powers = np.exp(z - z.real.max(axis=axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def cost(z: Any, target: Floats | Ints) -> Any:
    """Cross-entropy of each row, of classes or of soft targets."""
    soft = target if target.ndim == 2 else np.eye(z.shape[1])[target]
    return np.asarray(-(soft * np.log(softmax(z))).sum(axis=1))


def divergence(target: Floats, z: Any) -> Any:
    """``KL(target || softmax(z))`` of each row."""
    return cost(z, target) - cost(np.log(target), target)


def values(module: torch.nn.Module) -> tuple[Floats, ...]:
    """Weights and biases, in order."""
    return tuple(np.asarray(value.detach().double().numpy()) for value in module.state_dict().values())


def layers(module: torch.nn.Module, features: Floats) -> Floats:
    """Linear, ReLU, linear."""
    first, a, second, b = values(module)
    return np.asarray(np.maximum(features @ first.T + a, 0) @ second.T + b)


def slope(loss: Callable[[Any], Any], weights: Floats) -> Floats:
    """The gradient of an analytic loss, entry by entry."""
    found = np.zeros_like(weights)
    for place in np.ndindex(weights.shape):
        moved = weights.astype(complex)
        moved[place] += 1j * STEP
        found[place] = np.imag(loss(moved)) / STEP
    return found


def total(terms: dict[str, tuple[float, Any]]) -> Any:
    return sum(weight * value for weight, value in terms.values())


def assert_found(output: Any, terms: dict[str, tuple[float, Any]]) -> None:
    """Each term, and the loss by their weights."""
    found = {name: output.metrics[f"loss/{name}"].item() for name in terms}
    assert found == pytest.approx({name: float(value) for name, (_, value) in terms.items()}, rel=1e-6)
    assert output.loss.item() == pytest.approx(float(total(terms)), rel=1e-6)
