"""How far a measured share, or a difference between two methods, can be trusted."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from ssl_mix.errors import UserError
from ssl_mix.imported import imported

NORMAL = 1.959963984540054  # quantile of the normal distribution at 0.975


class Difference(NamedTuple):
    """A mean difference of pairs.

    Attributes:
        mean: of the differences.
        low: lower end of the 95 % interval; None where one pair, or equal differences, tell no deviation.
        high: upper end, likewise.
        pairs: how many.

    Examples:
        >>> paired_difference([0.75], [0.5])
        Difference(mean=0.25, low=None, high=None, pairs=1)
    """

    mean: float
    low: float | None
    high: float | None
    pairs: int


def share_interval(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share of ``right`` among ``total``, by Wilson's score:
    ``(p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)``.

    Unlike ``p +- z sqrt(p (1 - p) / n)`` it stays within [0, 1], and is no point where all or none are right.

    Raises:
        ValueError: there is none in all, or ``right`` is not among them.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference" (JASA 1927).

    Examples:
        >>> low, high = share_interval(681, 827)
        >>> f"{low:.3f} to {high:.3f}"
        '0.796 to 0.848'
    """
    if not 0 <= right <= total or total < 1:
        raise UserError(f"expected a share of at least one, got {right} of {total}")
    share, square = right / total, NORMAL**2 / total
    middle, half = share + square / 2, NORMAL * math.sqrt(share * (1 - share) / total + square / total / 4)
    return (max(0.0, (middle - half) / (1 + square)), min(1.0, (middle + half) / (1 + square)))


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Mean of ``first - second``, pair by pair, with the 95 % interval of Student's t:
    ``mean +- t(0.975, n - 1) s / sqrt(n)``.

    Raises:
        ValueError: there are no pairs, the lengths differ, or a value is not finite.

    Examples:
        >>> found = paired_difference([0.82, 0.85, 0.80], [0.80, 0.81, 0.79])
        >>> f"{found.mean:.3f}, {found.low:.3f} to {found.high:.3f}, {found.pairs} pairs"
        '0.023, -0.015 to 0.061, 3 pairs'
    """
    if len(first) != len(second) or not first:
        raise UserError(f"expected pairs of values, got {len(first)} and {len(second)}")
    if not all(map(math.isfinite, (*first, *second))):
        raise UserError("expected pairs of finite values, got some that are NaN or infinite: leave those out")
    gains = [one - other for one, other in zip(first, second, strict=True)]
    mean, count = statistics.fmean(gains), len(gains)
    deviation = statistics.stdev(gains) if count > 1 else 0.0
    if deviation == 0.0:
        return Difference(mean, None, None, count)
    half = float(imported("scipy.special").stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count)
    return Difference(mean, mean - half, mean + half, count)
