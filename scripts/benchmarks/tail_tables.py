"""Tables of long tails and of images of no class: lines of ``scripts/tail_study.py``."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.head_tables import difference

Line = dict[str, Any]
Table = tuple[Sequence[str], list[list[str]]]
TAIL = {
    "accuracy": "test_accuracy",
    "many": "many",
    "medium": "medium",
    "few": "few",
    "geometric mean": "geometric_mean_recall",
}
OPEN = {"accuracy": "test_accuracy", "AUROC of rejection": "rejection_auroc"}


def of_tail(lines: Sequence[Line], images: str) -> Table:
    """A row for each method on the long tail."""
    return _of_part(lines, images, "tail", TAIL)


def of_open_set(lines: Sequence[Line], images: str) -> Table:
    """A row for each method where unlabeled images may be of no class."""
    return _of_part(lines, images, "open", OPEN)


def _of_part(lines: Sequence[Line], images: str, part: str, columns: dict[str, str]) -> Table:
    """Means and deviations over seeds in per cent, in the order of the lines, and what accuracy gains on
    FixMatch."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        if (line["images"], line["part"]) == (images, part):
            found.setdefault(line["method"], []).append(line)
    control = [line["test_accuracy"] for line in found["fixmatch"]]
    rows = []
    for method, own in found.items():
        first, *others = (_cell([100 * line[name] for line in own]) for name in columns.values())
        gain = difference([line["test_accuracy"] for line in own], control) if method != "fixmatch" else ""
        rows.append([f"`{method}`", first, gain, *others])
    first, *others = columns
    return ["method", first, "over `fixmatch`", *others], rows


def _cell(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.1f} +- {statistics.stdev(values) if len(values) > 1 else 0:.1f}"


TABLES: dict[str, Callable[[Sequence[Line]], Table]] = {
    "tail": partial(of_tail, images="digits"),
    "open-set": partial(of_open_set, images="digits"),
    "tail-features": partial(of_tail, images="cifar10s"),
    "open-set-features": partial(of_open_set, images="cifar10s"),
}
