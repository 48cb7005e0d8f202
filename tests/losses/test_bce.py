"""DM(BCE): the formula in float64 NumPy, timm as the peer, and the defects of the published code."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ssl_mix.losses import DecoupledMixupBCELoss, decoupled_mixup_bce, rescale_lam
from ssl_mix.types import MixedTarget

OPTIONS = [(1.0, 0.8), (0.5, 1.0), (1.0, 1.0), (0.0, 0.8), (1.0, 0.0), (2.0, 0.3)]


def rescaled(lam: Any, t: float, xi: float) -> Any:
    """r(lam) of one number; a class that is not there is not wanted."""
    if lam == 0:
        return 0.0
    return 1.0 if xi == 0 else min(1.0, (lam / xi) ** t)


def bce(
    scores: NDArray[Any], a: Any, b: Any, lam: np.float64, t: float, xi: float, sum_classes: bool = False
) -> np.float64:
    """DM(BCE) of one sample: -[y log s + (1 - y) log(1 - s)] with log s = -log(1 + exp(-z))."""
    target = np.zeros(len(scores))
    target[a], target[b] = rescaled(lam, t, xi), rescaled(1 - lam, t, xi)
    if a == b:
        target[a] = 1
    return of_target(scores, target, sum_classes)


def of_target(scores: NDArray[Any], target: NDArray[Any], sum_classes: bool = False) -> np.float64:
    """Binary cross-entropy of one sample."""
    losses = target * np.logaddexp(0, -scores) + (1 - target) * np.logaddexp(0, scores)
    return losses.sum() if sum_classes else losses.mean()


@pytest.mark.parametrize(("t", "xi"), OPTIONS)
@pytest.mark.parametrize("sum_classes", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_formula(
    case: Any,
    reference: Any,
    assert_close: Callable[..., Any],
    t: float,
    xi: float,
    sum_classes: bool,
    reduction: str,
) -> None:
    options = {"t": t, "xi": xi, "sum_classes": sum_classes}
    expected = reference.reduce(reference.rows(bce, *case, **options), reduction)
    actual = decoupled_mixup_bce(*map(torch.from_numpy, case), **options, reduction=reduction)
    assert_close(actual, expected)


@pytest.mark.parametrize(("t", "xi"), OPTIONS)
def test_rescaled_lam_lies_in_the_unit_interval_and_has_a_finite_slope(t: float, xi: float) -> None:
    lam = torch.tensor([0.0, 1e-30, 1e-3, 0.4, 0.8, 1.0], dtype=torch.float64, requires_grad=True)
    actual = rescale_lam(lam, t=t, xi=xi)
    np.testing.assert_allclose(actual.detach(), [rescaled(x, t, xi) for x in lam.tolist()], rtol=1e-14)
    if actual.requires_grad:
        actual.sum().backward()
        assert lam.grad.isfinite().all()
        assert lam.grad[0] == 0


def test_defect_b4_a_pair_of_one_class_has_target_one_and_is_bounded_below() -> None:
    logits = torch.full((4, 3), 200.0)
    labels = torch.tensor([0, 1, 2, 0])
    for lam in (0.0, 0.3, 0.5, 1.0):
        loss = decoupled_mixup_bce(logits, labels, labels, lam, xi=0.8, sum_classes=True)
        assert loss.item() == 400  # The two other classes, 200 each; target 2 would give 200.


@pytest.mark.parametrize("sum_classes", [False, True])
@pytest.mark.parametrize("smoothing", [0.0])
def test_timm_on_the_same_soft_targets(sum_classes: bool, smoothing: float) -> None:
    peer = pytest.importorskip("timm.loss").BinaryCrossEntropy(smoothing=smoothing, sum_classes=sum_classes)
    draw = torch.Generator().manual_seed(0)
    logits, lam = torch.randn(9, 6, generator=draw), torch.rand(9, generator=draw)
    target = MixedTarget(*torch.randint(6, (2, 9), generator=draw), lam)
    actual = decoupled_mixup_bce(logits, *target, t=1, xi=1, sum_classes=sum_classes)
    torch.testing.assert_close(actual, peer(logits, target.dense(6)), rtol=1e-6, atol=1e-6)
    criterion = DecoupledMixupBCELoss(xi=1.0, sum_classes=sum_classes)
    labels = target.labels_a
    torch.testing.assert_close(criterion(logits, labels), peer(logits, labels), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize(("t", "xi"), OPTIONS)
def test_dense_targets_are_rescaled_by_class_and_keep_their_smoothing(
    smoothing: float, t: float, xi: float
) -> None:
    draw = torch.Generator().manual_seed(1)
    logits, lam = torch.randn(9, 6, generator=draw).double(), torch.rand(9, generator=draw).double()
    target = MixedTarget(*torch.randint(6, (2, 9), generator=draw), lam)
    dense = target.dense(6) * (1 - smoothing) + smoothing / 6
    criterion = DecoupledMixupBCELoss(t, xi, reduction="none")
    wanted = [[rescaled(share, t, xi) for share in row] for row in target.dense(6).tolist()]
    soft = np.array(wanted) * (1 - smoothing) + smoothing / 6
    expected = [of_target(*row) for row in zip(logits.numpy(), soft, strict=True)]
    np.testing.assert_allclose(criterion(logits, dense), expected, rtol=1e-10)
    if smoothing == 0:
        torch.testing.assert_close(criterion(logits, target), criterion(logits, dense), rtol=1e-12, atol=0)


def test_gradient_is_sigmoid_minus_target_even_at_large_logits() -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], requires_grad=True)
    loss = decoupled_mixup_bce(
        logits, torch.tensor([0, 0]), torch.tensor([1, 0]), 0.4, sum_classes=True, reduction="sum"
    )
    loss.backward()
    expected = [[1 - 0.5, 0 - 0.75, 0.5], [0 - 1, 1, 1]]
    np.testing.assert_allclose(logits.grad, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_and_autocast_are_computed_in_float32(dtype: torch.dtype) -> None:
    logits, lam = torch.randn(9, 6, generator=torch.Generator().manual_seed(2)).to(dtype), torch.rand(9)
    labels = torch.arange(9) % 6
    expected = decoupled_mixup_bce(logits.float(), labels, (labels + 1) % 6, lam)
    with torch.autocast("cpu", dtype=dtype):
        actual = decoupled_mixup_bce(logits, labels, (labels + 1) % 6, lam)
    assert actual.dtype == torch.float32
    assert torch.equal(actual, expected)


def test_plain_bce_is_the_special_case() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
    labels = torch.tensor([0, 1, 2, 3, 0])
    actual = decoupled_mixup_bce(logits, labels, labels, 0.7, t=1, xi=1)
    expected = F.binary_cross_entropy_with_logits(logits, F.one_hot(labels, 4).float())
    torch.testing.assert_close(actual, expected, rtol=1e-6, atol=0)
