"""Intervals against SciPy."""

import numpy as np
import pytest
import scipy.stats

from ssl_mix.errors import UserError
from ssl_mix.evaluation import paired_difference, share_interval


@pytest.mark.parametrize(
    ("right", "total"), [(0, 1), (1, 1), (0, 30), (30, 30), (681, 827), (5, 10), (1, 10**6)]
)
def test_wilson(right: int, total: int) -> None:
    expected = scipy.stats.binomtest(right, total).proportion_ci(method="wilson")
    assert share_interval(right, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize("pairs", [2, 3, 5, 40])
def test_paired_t(pairs: int) -> None:
    first, second = np.random.default_rng(pairs).random((2, pairs))
    expected = scipy.stats.ttest_rel(first, second).confidence_interval(0.95)
    found = paired_difference(first.tolist(), second.tolist())
    assert found.mean == pytest.approx((first - second).mean()) and found.pairs == pairs
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_without_a_deviation_there_is_no_interval() -> None:
    assert paired_difference([0.75], [0.5]) == (0.25, None, None, 1)
    assert paired_difference([0.75, 0.5], [0.5, 0.25]) == (0.25, None, None, 2)


def test_what_cannot_be_measured_is_refused() -> None:
    for right, total in ((0, 0), (2, 1), (-1, 3)):
        with pytest.raises(UserError, match=f"got {right} of {total}"):
            share_interval(right, total)
    for first in ([], [1.0]):
        with pytest.raises(UserError, match="expected pairs"):
            paired_difference(first, [])
