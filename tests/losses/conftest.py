"""Float64 NumPy references, one sample at a time, and the batches on which every loss is compared with
them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Case(NamedTuple):
    """One batch: logits (N, C), classes (N,), weights of the first class (N,)."""

    logits: Array
    labels_a: NDArray[np.int64]
    labels_b: NDArray[np.int64]
    lam: Array


def _log_softmax(scores: Array) -> Array:
    shifted = scores - scores.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()))


def _log_phi(scores: Array, own: int, competitor: int) -> float:
    """Log-softmax at ``own`` after the competitor's score has been deleted."""
    return float(_log_softmax(np.delete(scores, competitor))[own - (competitor < own)])


def _mixup(scores: Array, a: int, b: int, lam: float) -> float:
    return float(-(lam * _log_softmax(scores)[a] + (1 - lam) * _log_softmax(scores)[b]))


def _soft(scores: Array, target: Array) -> float:
    return float(-(target * _log_softmax(scores)).sum())


def _decoupled(
    scores: Array, a: int, b: int, lam: float | None, sides: str = "both", eta_power: float = 0.0
) -> float:
    if a == b or lam in (0, 1):  # one class: nothing is mixed
        return 0.0
    halves = {"a": -_log_phi(scores, a, b), "b": -_log_phi(scores, b, a)}
    if lam is None:
        return halves["a"] + halves["b"]
    weights = {"a": lam, "b": 1 - lam}
    minor = "a" if lam < 0.5 else "b"
    kept = {"both": "ab", "minor": minor, "major": "b" if minor == "a" else "a"}[sides]
    return sum(weights[side] ** eta_power * halves[side] for side in kept if weights[side] > 0)


def _asymmetric(
    scores: Array, y: int, v: int, lam: float, mask: float = 1.0, eta: float = 0.1, eta_power: float = 0.0
) -> float:
    phi = 0.0 if y == v or lam in (0, 1) else (2 * lam) ** eta_power * -_log_phi(scores, y, v)
    return mask * (_mixup(scores, y, v, lam) + eta * phi)


def _rows(function: Callable[..., Any], *columns: Any, **options: Any) -> Array:  # type: ignore[no-untyped-def]
    """The function of each sample of the batch; a column that is None stays None."""
    samples = zip(*([None] * len(columns[0]) if c is None else c for c in columns), strict=True)
    return np.array([function(*sample, **options) for sample in samples])


def _reduce(losses: Array, reduction: str) -> Array:
    return {"none": losses, "sum": losses.sum(), "mean": losses.sum() / len(losses)}[reduction]


def _assert_close(actual: Any, expected: Any, tolerance: float = 1e-10) -> None:  # type: ignore[no-untyped-def]
    """Equal shapes, finite, and within the tolerance relative to max(1, |expected|)."""
    actual, expected = np.asarray(actual.detach().double().cpu()), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    error = np.abs(actual - expected) / np.maximum(1, np.abs(expected))
    assert error.max(initial=0) <= tolerance, f"error {error.max():.3g} above {tolerance:.3g}"


@pytest.fixture
def reference() -> SimpleNamespace:
    """The references of single samples, ``rows`` to map them over a batch and ``reduce``."""
    return SimpleNamespace(
        log_softmax=_log_softmax,
        log_phi=_log_phi,
        mixup=_mixup,
        soft=_soft,
        decoupled=_decoupled,
        asymmetric=_asymmetric,
        rows=_rows,
        reduce=_reduce,
    )


@pytest.fixture
def assert_close() -> Callable[..., Any]:  # type: ignore[no-untyped-def]
    """Comparison with a reference, see ``_assert_close``."""
    return _assert_close


def _case(classes: int, scale: float = 3.0, samples: int = 12, seed: int = 0) -> Case:
    """Random rows; every third has a == b, and lam meets its edges."""
    draw = np.random.default_rng(seed)
    labels_a, labels_b = draw.integers(classes, size=(2, samples))
    labels_b[::3] = labels_a[::3]
    labels_b[1::3] = (labels_a[1::3] + 1) % classes
    lam = draw.random(samples)
    lam[:8] = [0.5, 0.0, 1.0, 0.0, 0.5, 1e-6, 1.0, 1.0]
    return Case(scale * draw.standard_normal((samples, classes)), labels_a, labels_b, lam)


def _huge(classes: int) -> Case:
    """Logits that are +-1e4 or 0, so that every difference of two of them is 0, 1e4 or 2e4."""
    case = _case(classes, samples=40, seed=2)
    draw = np.random.default_rng(3)
    return case._replace(logits=draw.choice([-1e4, 0.0, 1e4], case.logits.shape))


CASES = {
    "ten": _case(10),
    "two": _case(2),
    "three": _case(3, seed=4),
    "thousand": _case(1000, scale=8.0),
    "huge-two": _huge(2),
    "huge-three": _huge(3),
    "huge-ten": _huge(10),
    "one-sample": Case(*(array[4:5] for array in _case(10, seed=1))),
}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """One of the batches above."""
    return CASES[request.param]
