"""Values of the losses: the direct formulas in float64 NumPy, for every option."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ssl_mix.losses import (
    asymmetric_mixup_cross_entropy,
    decoupled_cross_entropy,
    decoupled_mixup_cross_entropy,
    mixup_cross_entropy,
)

REDUCTIONS = ("none", "sum", "mean")
SIDES = ("both", "minor", "major")


def tensors(case: Any, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The arrays of a case as tensors, logits in ``dtype``, lam in float64."""
    logits, labels_a, labels_b, lam = map(torch.from_numpy, case)
    return logits.to(dtype), labels_a, labels_b, lam


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_mixup(case: Any, reference: Any, assert_close: Callable[..., Any], reduction: str) -> None:
    expected = reference.reduce(reference.rows(reference.mixup, *case), reduction)
    assert_close(mixup_cross_entropy(*tensors(case), reduction=reduction), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("eta_power", [0.0, 0.5, 2.0])
def test_decoupled(
    case: Any, reference: Any, assert_close: Callable[..., Any], reduction: str, sides: str, eta_power: float
) -> None:
    options = {"sides": sides, "eta_power": eta_power}
    expected = reference.reduce(reference.rows(reference.decoupled, *case, **options), reduction)
    assert_close(decoupled_cross_entropy(*tensors(case), **options, reduction=reduction), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_decoupled_without_lam(
    case: Any, reference: Any, assert_close: Callable[..., Any], reduction: str
) -> None:
    expected = reference.reduce(reference.rows(reference.decoupled, *case[:3], None), reduction)
    assert_close(decoupled_cross_entropy(*tensors(case)[:3], reduction=reduction), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize(("eta", "eta_power"), [(0.0, 0.0), (0.1, 0.0), (1.0, 1.5)])
def test_decoupled_mixup(
    case: Any,
    reference: Any,
    assert_close: Callable[..., Any],
    reduction: str,
    sides: str,
    eta: float,
    eta_power: float,
) -> None:
    options = {"sides": sides, "eta_power": eta_power}
    expected = reference.rows(reference.mixup, *case)
    expected = expected + eta * reference.rows(reference.decoupled, *case, **options)
    actual = decoupled_mixup_cross_entropy(*tensors(case), eta=eta, **options, reduction=reduction)
    assert_close(actual, reference.reduce(expected, reduction))


def test_decoupled_mixup_weighs_the_decoupled_term_by_one_tenth(
    case: Any, reference: Any, assert_close: Callable[..., Any]
) -> None:
    expected = reference.rows(reference.mixup, *case) + 0.1 * reference.rows(reference.decoupled, *case)
    assert_close(decoupled_mixup_cross_entropy(*tensors(case)), expected.mean())


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("mask_dtype", [None, torch.bool, torch.float32, torch.float64])
@pytest.mark.parametrize(("eta", "eta_power"), [(0.0, 0.0), (0.1, 0.0), (1.0, 0.5), (1.0, 2.0)])
def test_asymmetric(
    case: Any,
    reference: Any,
    assert_close: Callable[..., Any],
    reduction: str,
    mask_dtype: torch.dtype | None,
    eta: float,
    eta_power: float,
) -> None:
    case = case._replace(lam=np.minimum(case.lam, 1 - case.lam))
    mask = None if mask_dtype is None else torch.arange(len(case.lam)).remainder(2).to(mask_dtype)
    weights = np.ones(len(case.lam)) if mask is None else mask.numpy().astype(np.float64)
    options = {"eta": eta, "eta_power": eta_power}
    expected = reference.rows(reference.asymmetric, *case, weights, **options)
    actual = asymmetric_mixup_cross_entropy(*tensors(case), mask=mask, **options, reduction=reduction)
    assert_close(actual, reference.reduce(expected, reduction))


def test_asymmetric_takes_soft_masks_and_weighs_the_decoupled_term_by_one_tenth(
    case: Any, reference: Any, assert_close: Callable[..., Any]
) -> None:
    mask = np.random.default_rng(0).random(len(case.lam))
    expected = reference.rows(reference.asymmetric, *case, mask).mean()
    actual = asymmetric_mixup_cross_entropy(*tensors(case), mask=torch.from_numpy(mask))
    assert_close(actual, expected)


@pytest.mark.parametrize("lam", [0, 0.0, 1e-6, 0.3, 0.5, 1.0, 1])
@pytest.mark.parametrize("sides", SIDES)
def test_one_number_as_lam_holds_for_all_samples(
    case: Any, reference: Any, assert_close: Callable[..., Any], lam: int, sides: str
) -> None:
    case = case._replace(lam=np.full(len(case.lam), float(lam)))
    logits, labels_a, labels_b, _ = tensors(case)
    mixup = reference.rows(reference.mixup, *case)
    decoupled = reference.rows(reference.decoupled, *case, sides=sides, eta_power=1.0)
    options = {"sides": sides, "eta_power": 1.0, "reduction": "none"}
    assert_close(mixup_cross_entropy(logits, labels_a, labels_b, lam, reduction="none"), mixup)
    assert_close(decoupled_cross_entropy(logits, labels_a, labels_b, lam, **options), decoupled)
    total = decoupled_mixup_cross_entropy(logits, labels_a, labels_b, lam, eta=0.7, **options)
    assert_close(total, mixup + 0.7 * decoupled)


@pytest.mark.parametrize("lam", [0, 1e-6, 0.3, 0.5])
def test_one_number_as_lam_of_the_asymmetric_loss(
    case: Any, reference: Any, assert_close: Callable[..., Any], lam: float
) -> None:
    case = case._replace(lam=np.full(len(case.lam), float(lam)))
    logits, labels, pseudo_labels, _ = tensors(case)
    expected = reference.rows(reference.asymmetric, *case, eta_power=0.5).mean()
    assert_close(asymmetric_mixup_cross_entropy(logits, labels, pseudo_labels, lam, eta_power=0.5), expected)


@pytest.mark.parametrize("eta_power", [0.0, 1.0])
def test_minor_and_major_side_add_up_to_both(case: Any, eta_power: float) -> None:
    def side(name: str) -> Tensor:
        return decoupled_cross_entropy(*tensors(case), sides=name, eta_power=eta_power, reduction="none")

    torch.testing.assert_close(side("minor") + side("major"), side("both"), rtol=1e-14, atol=1e-14)


def test_adding_a_constant_to_the_logits_changes_nothing(case: Any, assert_close: Callable[..., Any]) -> None:
    logits, *rest = tensors(case)
    for loss in (mixup_cross_entropy, decoupled_mixup_cross_entropy, asymmetric_mixup_cross_entropy):
        expected = loss(logits, *rest, reduction="none")
        assert_close(loss(logits + 64.0, *rest, reduction="none"), expected)


def test_swapping_the_classes_and_their_weights_changes_nothing(
    case: Any, assert_close: Callable[..., Any]
) -> None:
    logits, labels_a, labels_b, lam = tensors(case)
    expected = decoupled_mixup_cross_entropy(logits, labels_a, labels_b, lam, eta_power=0.5, reduction="none")
    swapped = decoupled_mixup_cross_entropy(
        logits, labels_b, labels_a, 1 - lam, eta_power=0.5, reduction="none"
    )
    assert_close(swapped, expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu(case: Any, reference: Any, assert_close: Any) -> None:
    batch = [tensor.cuda() for tensor in tensors(case)]
    mixup, decoupled = (reference.rows(of, *case) for of in (reference.mixup, reference.decoupled))
    assert_close(decoupled_mixup_cross_entropy(*batch, reduction="none"), mixup + 0.1 * decoupled)
    asymmetric = reference.rows(reference.asymmetric, *case)
    assert_close(asymmetric_mixup_cross_entropy(*batch, reduction="none"), asymmetric)
