"""Calibration errors and the curve of response rates, against loops in float64 written from the papers."""

import math
from itertools import permutations

import pytest
import torch
from answered_scene import answered, drawn, first_best, rows_of
from torch import Tensor

from ssl_mix import UserError
from ssl_mix.evaluation import (
    accuracy,
    aurra,
    confidence,
    expected_calibration_error,
    reliability,
    response_accuracy,
    rms_calibration_error,
)

CASES = answered()
EACH = pytest.mark.parametrize("name", CASES)


def sure_and_right(probs: Tensor, labels: Tensor) -> list[tuple[float, float]]:
    """Confidence and share of right ones among the images of that confidence, from the least confident."""
    found = [(max(row), float(first_best(row) == label)) for row, label in rows_of(probs, labels)]
    alike: dict[float, list[float]] = {}
    for sure, right in found:
        alike.setdefault(sure, []).append(right)
    return [(sure, sum(alike[sure]) / len(alike[sure])) for sure, _ in sorted(found)]


def bins_of(probs: Tensor, labels: Tensor, bins: int, binning: str) -> list[list[tuple[float, float]]]:
    """The images of each bin that has any."""
    found = sure_and_right(probs, labels)
    held: list[list[tuple[float, float]]] = [[] for _ in range(bins)]
    if binning == "width":
        for sure, right in found:
            held[next(m for m in range(bins) if sure <= (m + 1) / bins)].append((sure, right))
    else:
        sizes = [len(found) // bins + (m < len(found) % bins) for m in range(bins)]
        for m, size in enumerate(sizes):
            held[m] = found[sum(sizes[:m]) : sum(sizes[:m]) + size]
    return [part for part in held if part]


def gap(part: list[tuple[float, float]]) -> float:
    return abs(sum(right for _, right in part) - sum(sure for sure, _ in part)) / len(part)


@EACH
@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("binning", ["width", "mass"])
def test_the_expected_error_is_that_of_a_loop(name: str, bins: int, binning: str) -> None:
    probs, labels = CASES[name]
    held = bins_of(probs, labels, bins, binning)
    expected = sum(len(part) / len(labels) * gap(part) for part in held)
    found = expected_calibration_error(probs, labels, bins=bins, binning=binning)  # type: ignore[arg-type]
    assert found == pytest.approx(expected, abs=1e-12)
    shown = reliability(probs, labels, bins=bins, binning=binning)  # type: ignore[arg-type]
    assert shown.images.tolist() == [len(part) for part in held]


@EACH
@pytest.mark.parametrize("bins", [1, 15])
def test_the_rms_error_is_that_of_a_loop(name: str, bins: int) -> None:
    probs, labels = CASES[name]
    held = bins_of(probs, labels, bins, "mass")
    expected = math.sqrt(sum(len(part) / len(labels) * gap(part) ** 2 for part in held))
    assert rms_calibration_error(probs, labels, bins=bins) == pytest.approx(expected, abs=1e-12)


@EACH
def test_aurra_is_that_of_a_loop(name: str) -> None:
    probs, labels = CASES[name]
    right = [share for _, share in reversed(sure_and_right(probs, labels))]
    curve = [sum(right[:k]) / k for k in range(1, len(right) + 1)]
    assert response_accuracy(probs, labels).tolist() == pytest.approx(curve, abs=1e-12)
    assert aurra(probs, labels) == pytest.approx(sum(curve) / len(curve), abs=1e-12)
    assert curve[-1] == pytest.approx(accuracy(probs, labels), abs=1e-6)


def test_equal_confidences_count_as_the_mean_over_their_orders() -> None:
    """All 24 orders of four images with one confidence, by the plain formula."""
    right = [1.0, 0.0, 0.0, 1.0]
    curves = [[sum(order[:k]) / k for k in range(1, 5)] for order in permutations(right)]
    expected = sum(sum(curve) / 4 for curve in curves) / len(curves)
    probs = torch.tensor([[0.75, 0.25]]).repeat(4, 1)
    assert aurra(probs, torch.tensor([0, 1, 1, 0])) == pytest.approx(expected, abs=1e-12)


@EACH
def test_no_measure_depends_on_the_order_of_images(name: str) -> None:
    probs, labels = CASES[name]
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(5))
    for measure in (aurra, rms_calibration_error, expected_calibration_error):
        assert measure(probs[order], labels[order]) == pytest.approx(measure(probs, labels), abs=1e-12)


def test_known_values() -> None:
    sure, labels = torch.eye(4), torch.arange(4)
    assert expected_calibration_error(sure, labels) == rms_calibration_error(sure, labels) == 0
    assert aurra(sure, labels) == 1
    wrong = (labels + 1) % 4
    assert expected_calibration_error(sure, wrong) == rms_calibration_error(sure, wrong) == 1
    assert aurra(sure, wrong) == 0
    half = torch.tensor([[0.5, 0.5]]).repeat(2, 1)  # right every other time, and half sure
    assert expected_calibration_error(half, torch.tensor([0, 1])) == 0


def test_a_confidence_at_the_border_belongs_to_the_lower_bin() -> None:
    """(0.25, 0.5] and (0.5, 0.75]: two bins of one image each; both in one would give (1 - 0.625) ..."""
    probs = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
    assert reliability(probs, torch.tensor([0, 1]), bins=4).images.tolist() == [1, 1]


def test_tables_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    probs, labels = drawn(257, 7, 0)
    whole = aurra(probs, labels), expected_calibration_error(probs, labels)
    monkeypatch.setattr(confidence, "ELEMENTS", 50)
    assert (aurra(probs, labels), expected_calibration_error(probs, labels)) == whole


def test_what_is_no_probability_is_refused() -> None:
    labels = torch.tensor([0, 1])
    for probs in (torch.tensor([[0.5, 0.5], [0.9, 0.2]]), torch.tensor([[0.5, 0.5], [-2.0, 3.0]])):
        with pytest.raises(UserError, match="sum to 1 .* at position 1: take the softmax"):
            expected_calibration_error(probs, labels)
    with pytest.raises(
        UserError, match="binning must be one of width, mass, got 'masss'. Did you mean 'mass'"
    ):
        expected_calibration_error(torch.eye(2), labels, binning="masss")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="bins must be above 0"):
        rms_calibration_error(torch.eye(2), labels, bins=0)
