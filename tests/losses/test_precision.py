"""Half precision, autocast and extreme logits: computed in float32 or better, always finite."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_mix.losses import (
    AsymmetricMixupLoss,
    DecoupledMixupLoss,
    asymmetric_mixup_cross_entropy,
    decoupled_cross_entropy,
    decoupled_mixup_cross_entropy,
    mixup_cross_entropy,
)
from ssl_mix.types import MixedTarget

LOSSES = {
    "mixup": mixup_cross_entropy,
    "decoupled": decoupled_cross_entropy,
    "decoupled_mixup": decoupled_mixup_cross_entropy,
    "asymmetric": asymmetric_mixup_cross_entropy,
}
HALF = (torch.bfloat16, torch.float16)


@pytest.fixture(params=list(LOSSES))
def name(request: Any) -> str:
    """The name of a loss, of its function in ``LOSSES`` and of its reference."""
    return request.param


def expected_losses(
    reference: Any, name: str, logits: Tensor, labels_a: Tensor, labels_b: Tensor, lam: Tensor
) -> NDArray[Any]:
    """The float64 reference on exactly the numbers that the tensors hold."""
    columns = [column.double().numpy() if column.is_floating_point() else column.numpy()
               for column in (logits, labels_a, labels_b, lam)]  # fmt: skip
    if name == "decoupled_mixup":
        return reference.rows(reference.mixup, *columns) + 0.1 * reference.rows(reference.decoupled, *columns)
    return reference.rows(getattr(reference, name), *columns)


@pytest.mark.parametrize("dtype", [torch.float32, *HALF])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_half_precision_is_computed_in_float32(
    case: Any, reference: Any, assert_close: Callable[..., Any], name: str, dtype: torch.dtype, reduction: str
) -> None:
    logits, labels_a, labels_b, lam = map(torch.from_numpy, case)
    batch = (logits.to(dtype), labels_a, labels_b, lam.float())
    loss = LOSSES[name](*batch, reduction=reduction)
    assert loss.dtype == torch.float32
    expected = reference.reduce(expected_losses(reference, name, *batch), reduction)
    assert_close(loss, expected, tolerance=4e-6)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_logits_of_ten_thousand_give_finite_values_and_gradients(
    name: str, dtype: torch.dtype, classes: int
) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = 1e4 * torch.randint(-1, 2, (400, classes), generator=draw).to(dtype)
    logits.requires_grad_()
    labels_a, labels_b = torch.randint(classes, (2, 400), generator=draw)
    lam = torch.rand(400, generator=draw)
    lam[:60], lam[60:120], lam[120:180] = 0, 1, 0.5
    loss = LOSSES[name](logits, labels_a, labels_b, lam, reduction="sum")
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()
    # Every loss is a weighted sum of log-softmaxes, so its gradient is bounded by twice the sum of the
    # weights.
    assert logits.grad.abs().max() <= 4


@pytest.mark.parametrize("eta_power", [0.0, 0.5])
@pytest.mark.parametrize("lam", [0.0, 1.0, 0.3])
def test_two_classes_leave_nothing_to_decouple(lam: float, eta_power: float) -> None:
    logits = torch.tensor([[2.0, -1.0], [-1e4, 1e4]], requires_grad=True)
    labels = torch.tensor([0, 1])
    loss = decoupled_cross_entropy(logits, labels, 1 - labels, lam, eta_power=eta_power, reduction="none")
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert logits.grad.tolist() == [[0, 0], [0, 0]]


def test_one_class_twice_leaves_nothing_to_decouple(case: Any) -> None:
    logits, labels, *_ = map(torch.from_numpy, case)
    logits = logits.clone().requires_grad_()
    loss = decoupled_cross_entropy(logits, labels, labels, 0.3, reduction="none")
    loss.sum().backward()
    assert not loss.any()
    assert not logits.grad.any()


@pytest.mark.parametrize("dtype", HALF)
def test_autocast_gives_the_float32_loss(name: str, dtype: torch.dtype, case: Any) -> None:
    logits, labels_a, labels_b, lam = map(torch.from_numpy, case)
    batch = (logits.to(dtype), labels_a, labels_b, lam.float())
    expected = LOSSES[name](*batch)
    with torch.autocast("cpu", dtype=dtype):
        loss = LOSSES[name](*batch)
        modules = [DecoupledMixupLoss()(batch[0], MixedTarget(*batch[1:])),
                   DecoupledMixupLoss()(batch[0], MixedTarget(*batch[1:]).dense(logits.shape[1])),
                   AsymmetricMixupLoss()(batch[0], MixedTarget(*batch[1:]))]  # fmt: skip
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)
    assert [module.dtype for module in modules] == [torch.float32] * 3


def test_autocast_does_not_round_a_float32_network(name: str) -> None:
    draw = np.random.default_rng(0)
    logits = torch.from_numpy(draw.standard_normal((8, 10))).float()
    labels_a, labels_b = torch.from_numpy(draw.integers(10, size=(2, 8)))
    lam = torch.from_numpy(draw.random(8)).float()
    expected = LOSSES[name](logits, labels_a, labels_b, lam)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = LOSSES[name](logits, labels_a, labels_b, lam)
    torch.testing.assert_close(loss, expected, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", HALF)
def test_gradient_comes_back_in_the_dtype_of_the_logits(name: str, dtype: torch.dtype) -> None:
    logits = torch.linspace(-2, 2, 20).reshape(4, 5).to(dtype).requires_grad_()
    labels = torch.tensor([0, 1, 2, 3])
    LOSSES[name](logits, labels, labels + 1, 0.25).backward()
    exact = logits.detach().double().requires_grad_()
    LOSSES[name](exact, labels, labels + 1, 0.25).backward()
    assert logits.grad.dtype == dtype
    torch.testing.assert_close(logits.grad.double(), exact.grad, rtol=torch.finfo(dtype).eps, atol=1e-6)
