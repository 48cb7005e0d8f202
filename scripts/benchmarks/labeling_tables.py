"""Tables of ``ssl-mix suggest`` and ``ssl-mix audit``, from the lines of ``scripts/labeling_study.py``."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.auto_tables import interval

Line = dict[str, Any]
Rows = tuple[Sequence[str], list[list[str]]]
METHODS = ("none", "random", "typicality", "badge", "margin", "entropy", "diverse")
CUTS = (25, 50, 75, 100, 150)


def suggestions(lines: Sequence[Line]) -> Rows:
    """A row for each number of labels and method: accuracies, and their differences to images at random,
    paired by the choice of labels, with 95 % intervals."""
    columns = ["labels a class", "added by", "classes", "probe", "to random", "auto", "to random"]
    found: dict[tuple[int, str], dict[int, Line]] = {}
    for line in lines:
        found.setdefault((line["labels_per_class"], line["by"]), {})[line["seed"]] = line
    rows = []
    for count, by in sorted(found, key=lambda cell: (cell[0], METHODS.index(cell[1]))):
        ours, control = found[count, by], found[count, "random"]
        cells = [str(count), "nothing" if by == "none" else f"`{by}`"]
        cells.append(f"{statistics.mean(line['classes'] for line in ours.values()):.0f}")
        for name in ("probe_accuracy", "auto_accuracy"):
            cells.append(f"{100 * statistics.mean(line[name] for line in ours.values()):.1f}")
            gains = [100 * (line[name] - control[seed][name]) for seed, line in ours.items()]
            cells.append("" if by == "random" else spread(gains))
        rows.append(cells)
    return columns, rows


def spread(gains: Sequence[float]) -> str:
    """A mean with its 95 % interval."""
    mean, half = interval(gains)
    return f"{mean:+.1f} ({mean - half:+.1f} to {mean + half:+.1f})"


def audits(lines: Sequence[Line]) -> Rows:
    """A row for each number of labels and each cut of the list: how many of the wrong labels it holds."""
    columns = [
        "labels",
        "wrong",
        "looked at",
        "wrong among them",
        "precision %",
        "recall %",
        "suggested right %",
    ]
    rows = []
    for count in sorted({line["labels_per_class"] for line in lines}):
        ours = [line for line in lines if line["labels_per_class"] == count]
        cuts = [cut for cut in CUTS if all(str(cut) in line["found_within"] for line in ours)]
        looked = [
            (f"the list, {mean(x['listed'] for x in ours):.0f}", [(x["found"], x["listed"]) for x in ours])
        ]
        looked += [(f"the first {cut}", [(x["found_within"][str(cut)], cut) for x in ours]) for cut in cuts]
        for name, pairs in looked:
            precision = [100 * right / size for right, size in pairs]
            recall = [100 * right / line["wrong"] for (right, _), line in zip(pairs, ours, strict=True)]
            shares = [
                f"{mean(values):.0f} +- {statistics.stdev(values):.0f}" for values in (precision, recall)
            ]
            held = f"{mean(right for right, _ in pairs):.1f}"
            right = (
                f"{100 * mean(x['suggested_right'] for x in ours):.0f}" if name.startswith("the list") else ""
            )
            rows.append([str(ours[0]["labels"]), str(ours[0]["wrong"]), name, held, *shares, right])
    return columns, rows


def mean(values: Iterable[float]) -> float:
    """The mean of numbers that are made one by one."""
    return statistics.mean(list(values))


TABLES: dict[str, tuple[str, Callable[[Sequence[Line]], Rows]]] = {
    "labeling-suggest": ("labeling_suggest", suggestions),
    "labeling-audit": ("labeling_audit", audits),
}
