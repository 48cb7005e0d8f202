"""Bootstrap intervals: the resamples measured one by one by scikit-learn, and SciPy's interval."""

import numpy as np
import pytest
import torch
from answered_scene import answered, drawn
from scipy.stats import bootstrap as their_bootstrap
from sklearn.metrics import f1_score, recall_score, top_k_accuracy_score

from ssl_mix import UserError
from ssl_mix.evaluation import accuracy, bootstrap, bootstrap_intervals, macro_f1, mean_class_accuracy

CASES = answered()


@pytest.mark.parametrize("name", ["random", "labels of one class", "all right", "one image", "1,000 classes"])
def test_each_resample_is_measured_as_scikit_learn_does(name: str) -> None:
    """The same draws, one by one."""
    probs, labels = CASES[name]
    count, classes = len(labels), probs.shape[1]
    rows = torch.randint(count, (20, count), generator=torch.Generator().manual_seed(3))
    values: dict[str, list[float]] = {}
    for row in rows:
        guessed, true = probs[row].argmax(1).numpy(), labels[row].numpy()
        values.setdefault("accuracy", []).append(float((guessed == true).mean()))
        present = np.unique(true)
        recall = recall_score(true, guessed, labels=present, average="macro", zero_division=0)
        values.setdefault("mean_class_accuracy", []).append(recall)
        values.setdefault("macro_f1", []).append(f1_score(true, guessed, average="macro", zero_division=0))
        if classes > 5:
            five = top_k_accuracy_score(true, probs[row].numpy(), k=5, labels=list(range(classes)))
            values.setdefault("top_5_accuracy", []).append(five)
    found = bootstrap_intervals(probs, labels, resamples=20, seed=3)
    assert set(found) == set(values)
    for measure, numbers in values.items():
        expected = np.percentile(numbers, [2.5, 97.5])
        assert found[measure] == pytest.approx(tuple(expected), abs=1e-12), measure


def test_the_interval_of_accuracy_is_that_of_scipy() -> None:
    probs, labels = drawn(500, 4, 7)
    right = (probs.argmax(1) == labels).double().numpy()
    theirs = their_bootstrap((right,), np.mean, n_resamples=5000, method="percentile", rng=1)
    found = bootstrap_intervals(probs, labels, resamples=5000)["accuracy"]
    expected = theirs.confidence_interval.low, theirs.confidence_interval.high
    assert found == pytest.approx(expected, abs=0.005)
    share = right.mean()
    half = 1.96 * (share * (1 - share) / 500) ** 0.5
    assert found == pytest.approx((share - half, share + half), abs=0.006)


@pytest.mark.parametrize("name", CASES)
def test_the_measure_lies_in_its_interval(name: str) -> None:
    probs, labels = CASES[name]
    found = bootstrap_intervals(probs, labels, resamples=200)
    for low, high in found.values():
        assert 0 <= low <= high <= 1
    assert found["accuracy"][0] <= accuracy(probs, labels) + 1e-7
    assert accuracy(probs, labels) - 1e-7 <= found["accuracy"][1]
    if name == "random":
        for measure in (macro_f1, mean_class_accuracy):
            low, high = found[measure.__name__]
            assert low < measure(probs, labels) < high


def test_draws_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    probs, labels = CASES["random"]
    state = torch.get_rng_state()
    first = bootstrap_intervals(probs, labels, resamples=50)
    assert torch.equal(state, torch.get_rng_state())
    assert bootstrap_intervals(probs, labels, resamples=50) == first
    assert bootstrap_intervals(probs, labels, resamples=50, seed=1) != first
    monkeypatch.setattr(bootstrap, "DRAWN", 600)  # two resamples at a time
    assert bootstrap_intervals(probs, labels, resamples=50) == first


def test_bad_numbers_are_refused() -> None:
    probs, labels = CASES["random"]
    with pytest.raises(UserError, match="resamples must be above 0, got 0"):
        bootstrap_intervals(probs, labels, resamples=0)
    with pytest.raises(UserError, match="1 of 257 rows of probabilities is not finite"):
        bootstrap_intervals(torch.where(probs == probs[0, 0], torch.inf, probs), labels)
