"""The table of ``ssl-mix auto`` beside the linear probe, from the lines of ``scripts/auto_ladder.py``."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from scipy.stats import t

Line = dict[str, Any]


def beside_probe(lines: Sequence[Line]) -> tuple[Sequence[str], list[list[str]]]:
    """A row for each kind of unlabeled images and number of labels."""
    columns = ["unlabeled images", "labels", "probe", "auto", "difference", "95 %", "below", "chosen"]
    cells: dict[tuple[str, int], list[Line]] = {}
    for line in lines:
        cells.setdefault((line["kind"], line["labels_per_class"]), []).append(line)
    return columns, [[kind, str(labels), *row(found)] for (kind, labels), found in cells.items()]


def row(lines: Sequence[Line]) -> list[str]:
    """Accuracies in per cent, their paired difference with the interval of its mean, and what was chosen."""
    ours, probe = ([100 * line[name] for line in lines] for name in ("accuracy", "probe_accuracy"))
    gains = [one - other for one, other in zip(ours, probe, strict=True)]
    mean, count = statistics.mean(gains), len(gains)
    half = t.ppf(0.975, count - 1) * statistics.stdev(gains) / math.sqrt(count)
    chosen = Counter(line["chosen"] for line in lines).most_common()
    return [
        *(f"{statistics.mean(values):.1f}" for values in (probe, ours)),
        f"{mean:+.1f}",
        f"{mean - half:+.1f} to {mean + half:+.1f}",
        f"{sum(gain < 0 for gain in gains)} of {count}",
        ", ".join(f"{name} {times}x" for name, times in chosen),
    ]
