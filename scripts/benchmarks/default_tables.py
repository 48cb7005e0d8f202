"""Tables of training with the defaults beside the linear probe: lines of ``scripts/default_runs.py``."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.auto_tables import NAMES, interval

Line = dict[str, Any]
Table = tuple[Sequence[str], list[list[str]]]


def beside_probe(lines: Sequence[Line]) -> Table:
    """A row for each set of images and algorithm."""
    columns = ["images", "method", "labels", "probe", "accuracy", "difference", "95 %", "below", "end alone"]
    found: dict[tuple[str, int, int], list[Line]] = {}
    for line in lines:
        place = list(NAMES).index(line["data"])
        found.setdefault((line["algorithm"], place, line["labels_per_class"]), []).append(line)
    return columns, [
        [list(NAMES.values())[place], f"`{name}`", str(labels), *row(members)]
        for (name, place, labels), members in sorted(found.items())
    ]


def row(lines: Sequence[Line]) -> list[str]:
    """Accuracies in per cent, their paired difference with the interval of its mean, in how many choices of
    labels it is below zero, and what training made without the start, against the probe."""
    ours, probe = ([100 * line[name] for line in lines] for name in ("test_accuracy", "probe_accuracy"))
    gains = [one - other for one, other in zip(ours, probe, strict=True)]
    mean = statistics.mean(gains)
    half = interval(gains)[1] if len(gains) > 1 else math.nan
    ends = [100 * (line["end_accuracy"] - line["probe_accuracy"]) for line in lines if "end_accuracy" in line]
    return [
        *(f"{statistics.mean(values):.1f}" for values in (probe, ours)),
        f"{mean:+.1f}",
        f"{mean - half:+.1f} to {mean + half:+.1f}" if len(gains) > 1 else "",
        f"{sum(gain < 0 for gain in gains)} of {len(gains)}",
        f"{statistics.mean(ends):+.1f}" if ends else "",
    ]
