"""The temperature, against a search over its loss, closed forms, and labels that were drawn with one."""

import math

import numpy as np
import pytest
import torch
from answered_scene import answered
from scipy.optimize import minimize_scalar
from torch import Tensor

from ssl_mix import UserError
from ssl_mix.evaluation import confidence, expected_calibration_error, fit_temperature


def loss_at(temperature: float, logits: Tensor, labels: Tensor) -> float:
    """Mean cross-entropy, image by image."""
    losses = []
    for row, label in zip(logits.double().numpy() / temperature, labels.tolist(), strict=True):
        losses.append(math.log(np.exp(row - row.max()).sum()) + row.max() - row[label])
    return sum(losses) / len(losses)


NAMES = [
    "random",
    "float32",
    "float16",
    "bfloat16",
    "labels of one class",
    "ties",
    "1,000 classes",
    "two classes",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
def test_it_is_where_a_search_finds_the_least_loss(name: str, scale: float) -> None:
    probs, labels = answered()[name]
    logits = scale * probs.log().clamp(min=-30)
    found = fit_temperature(logits, labels)
    if found.note:
        assert found.value in (0.01, 100.0)
        nearby = found.value * (1.01 if found.value == 0.01 else 0.99)
        assert loss_at(nearby, logits, labels) >= loss_at(found.value, logits, labels) - 1e-12
        return
    searched = minimize_scalar(
        lambda place: loss_at(math.exp(place), logits, labels),
        bounds=(math.log(0.01), math.log(100)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert loss_at(found.value, logits, labels) <= searched.fun + 1e-12
    assert found.value == pytest.approx(math.exp(searched.x), rel=1e-4)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_it_finds_the_temperature_that_labels_were_drawn_with(true: float) -> None:
    drawn = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(20_000, 5, generator=drawn)
    labels = (logits / true).softmax(1).multinomial(1, generator=drawn).squeeze(1)
    found = fit_temperature(logits, labels)
    assert not found.note and found.value == pytest.approx(true, rel=0.03)
    assert fit_temperature(7 * logits.double(), labels).value == pytest.approx(7 * found.value, rel=1e-9)
    before = expected_calibration_error(logits.softmax(1), labels)
    after = expected_calibration_error((logits / found.value).softmax(1), labels)
    assert after < 0.015 and (true == 1 or after < before / 3)


def test_where_there_is_no_minimum_it_stays_in_bounds_and_says_so() -> None:
    probs, labels = answered()["all right"]
    found = fit_temperature(probs.log(), labels)
    assert found.value == 0.01 and "each of 257 images is right" in found.note
    probs, labels = answered()["all wrong"]
    found = fit_temperature(-(-probs.log()).exp(), labels)
    assert found.value == 100.0 and "no more of the labels" in found.note
    found = fit_temperature(torch.zeros(3, 4), torch.tensor([0, 1, 2]))
    assert found.value == 1.0 and "all equal" in found.note
    nearly = torch.tensor([[1.0, 1.0 + 1e-6], [9.0, 0.0]])
    found = fit_temperature(nearly * 1e-3, torch.tensor([0, 0]))
    assert found.value == 0.01 and "below 0.01" in found.note


def test_tables_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    probs, labels = answered()["random"]
    whole = fit_temperature(probs.log(), labels).value
    monkeypatch.setattr(confidence, "ELEMENTS", 50)
    assert fit_temperature(probs.log(), labels).value == pytest.approx(whole, rel=1e-9)


def test_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(UserError, match="1 of 2 rows of logits is not finite"):
        fit_temperature(torch.tensor([[0.0, math.inf], [0.0, 1.0]]), torch.tensor([0, 1]))
    with pytest.raises(UserError, match=r"expected logits float \(N, C\)"):
        fit_temperature(torch.zeros(2, 2, dtype=torch.int64), torch.tensor([0, 1]))
