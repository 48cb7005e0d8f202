"""Brier score, likelihood and top-k accuracy, against loops in float64 and scikit-learn."""

import math

import pytest
import torch
from answered_scene import answered, rows_of
from sklearn.metrics import brier_score_loss, log_loss, top_k_accuracy_score

from ssl_mix import UserError
from ssl_mix.evaluation import accuracy, brier_score, confidence, negative_log_likelihood, top_k_accuracy

CASES = answered()
EACH = pytest.mark.parametrize("name", CASES)


@EACH
def test_the_brier_score_is_that_of_a_loop_and_of_scikit_learn(name: str) -> None:
    probs, labels = CASES[name]
    loop = [sum((p - (c == label)) ** 2 for c, p in enumerate(row)) for row, label in rows_of(probs, labels)]
    found = brier_score(probs, labels)
    assert found == pytest.approx(sum(loop) / len(loop), abs=1e-12)
    if probs.dtype == torch.float64:
        theirs = brier_score_loss(
            labels, probs.numpy(), labels=list(range(probs.shape[1])), scale_by_half=False
        )
        assert found == pytest.approx(theirs, abs=1e-12)


@EACH
def test_the_likelihood_is_that_of_a_loop_and_of_scikit_learn(name: str) -> None:
    probs, labels = CASES[name]
    at_label = [row[label] for row, label in rows_of(probs, labels)]
    found = negative_log_likelihood(probs, labels)
    if min(at_label) == 0:
        assert found == math.inf
        return
    assert found == pytest.approx(-sum(math.log(p) for p in at_label) / len(at_label), abs=1e-12)
    if probs.dtype == torch.float64:
        theirs = log_loss(labels, probs.numpy(), labels=list(range(probs.shape[1])))
        assert found == pytest.approx(theirs, abs=1e-9)


@EACH
@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_is_that_of_a_loop_and_of_scikit_learn(name: str, k: int) -> None:
    probs, labels = CASES[name]
    classes = probs.shape[1]
    if k > classes:
        with pytest.raises(UserError, match=f"at most the number of classes, {classes}, got {k}"):
            top_k_accuracy(probs, labels, k)
        return
    right = [
        label in sorted(range(classes), key=lambda c: (-row[c], c))[:k]
        for row, label in rows_of(probs, labels)
    ]
    found = top_k_accuracy(probs, labels, k)
    assert found == pytest.approx(sum(right) / len(right), abs=1e-12)
    if k == 1:
        assert found == pytest.approx(accuracy(probs, labels), abs=1e-6)
    if name in ("random", "all right", "all wrong", "1,000 classes"):  # ties go to the last class there
        theirs = top_k_accuracy_score(labels, probs.numpy(), k=k, labels=list(range(classes)))
        assert found == pytest.approx(theirs, abs=1e-12)


def test_tables_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    probs, labels = CASES["random"]
    measures = (brier_score, negative_log_likelihood, lambda p, t: top_k_accuracy(p, t, 3))
    whole = [measure(probs, labels) for measure in measures]
    monkeypatch.setattr(confidence, "ELEMENTS", 50)
    assert [measure(probs, labels) for measure in measures] == pytest.approx(whole, abs=1e-12)


def test_rows_with_nan_are_never_right() -> None:
    probs = torch.tensor([[math.nan, 0.2, 0.8], [0.1, 0.2, 0.7]])
    assert top_k_accuracy(probs, torch.tensor([2, 2]), 2) == 0.5
    assert top_k_accuracy(probs, torch.tensor([2, 2]), 3) == 0.5
