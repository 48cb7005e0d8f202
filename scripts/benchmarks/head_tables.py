"""The tables of the head-only study, from the lines of ``scripts/head_study.py``."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from scipy.stats import t

from benchmarks.head_grid import METHODS, MIXINGS

Line = dict[str, Any]
Rows = tuple[Sequence[str], list[list[str]]]
QUESTIONS = {
    "mixup over none": ("mixup", "none"),
    "DM over mixup": ("dm", "mixup"),
    "AS over none": ("as", "none"),
    "AS over eta 0": ("as", "as, eta 0"),
    "DM/AS over DM": ("dm-as", "dm"),
    "DM/AS over none": ("dm-as", "none"),
}
PLAIN = {"data": "caltech50", "kind": "balanced", "start": "prototypes"}


def interval(values: Sequence[float], control: Sequence[float]) -> tuple[float, float, float]:
    """Mean of the paired differences in points, and the ends of its 95 % interval (t)."""
    gains = [100 * (one - other) for one, other in zip(values, control, strict=True)]
    mean, count = statistics.mean(gains), len(gains)
    half = t.ppf(0.975, count - 1) * statistics.stdev(gains) / math.sqrt(count)
    return mean, mean - half, mean + half


def difference(values: Sequence[float] | None, control: Sequence[float] | None) -> str:
    """A cell: mean and interval, bold where the interval leaves out zero; nothing where one was not run."""
    if values is None or control is None:
        return ""
    mean, low, high = interval(values, control)
    text = f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
    return f"**{text}**" if low > 0 or high < 0 else text


def percent(values: Sequence[float] | None) -> str:
    """The mean in per cent."""
    return "" if values is None else f"{100 * statistics.mean(values):.1f}"


def found(lines: Iterable[Line], **what: object) -> list[Line]:
    """The lines of finished cells about ``what``."""
    return [line for line in lines if what.items() <= line.items()]


def accuracy(lines: Sequence[Line], **what: object) -> Sequence[float] | None:
    """By split, of one cell; None where it was not run."""
    cells = found(lines, phase="report", **what)
    return cells[0]["accuracy"] if cells else None


def groups(lines: Sequence[Line], what: Mapping[str, object]) -> list[tuple[int, str]]:
    """Numbers of labels and algorithms of the cells about ``what``, in the order of the page."""
    cells = found(lines, phase="report", **what)
    names = list(dict.fromkeys(line["algorithm"] for line in cells))
    every = {(line["labels"], line["algorithm"]) for line in cells}
    return sorted(every, key=lambda group: (names.index(group[1]), group[0]))


def used(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Rows:
    """The columns in which some row has a cell."""
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def terms(lines: Sequence[Line], **other: str) -> Rows:
    """What each term is worth beside its control."""
    what, rows = PLAIN | other, []
    for labels, algorithm in groups(lines, what):
        by = {
            mixing: accuracy(lines, **what, labels=labels, algorithm=algorithm, mixing=mixing)
            for mixing in MIXINGS
        }
        cells = [difference(by[mixing], by[control]) for mixing, control in QUESTIONS.values()]
        if any(cells):
            rows.append([f"`{algorithm}`", str(labels), percent(by["none"]), *cells])
    return used(["algorithm", "labels", "`none`", *QUESTIONS], rows)


def trained(lines: Sequence[Line]) -> Rows:
    """The prototypes against the linear probe, and trained heads against these prototypes."""
    methods = [("fine-tuning", "none"), ("fixmatch", "none"), ("fixmatch", "as"), ("fixmatch", "dm-as")]
    names = (f"`{algorithm}`" + ("" if mixing == "none" else f" + {mixing}") for algorithm, mixing in methods)
    columns, rows = ["images", "unlabeled", "labels", "probe", "prototypes", *names], []
    for line in sorted(found(lines, phase="start"), key=place):
        where = {name: line[name] for name in ("data", "kind", "labels")}
        start = line["start prototypes"]
        cells = [difference(start, line["probe"])]
        for algorithm, mixing in methods:
            what = PLAIN | where | {"algorithm": algorithm, "mixing": mixing}
            cells.append(difference(accuracy(lines, **what), start))
        rows.append([line["data"], line["kind"], str(line["labels"]), percent(line["probe"]), *cells])
    return used(columns, rows)


def methods(lines: Sequence[Line]) -> Rows:
    """Algorithms from the probe with two labels a class, the best first: against where they start, and
    against FixMatch."""
    what = PLAIN | {"start": "probe", "labels": 2, "mixing": "none"}
    by = {name: accuracy(lines, **what, algorithm=name) for name in METHODS}
    [begun] = found(lines, phase="start", data="caltech50", kind="balanced", labels=2)
    measured = {name: values for name, values in by.items() if values is not None}
    rows = [
        [
            f"`{name}`",
            percent(values),
            difference(values, begun["start probe"]),
            "" if name == "fixmatch" else difference(values, by["fixmatch"]),
        ]
        for name, values in sorted(measured.items(), key=lambda item: -statistics.mean(item[1]))
    ]
    return ["algorithm", "accuracy", "over its start", "over `fixmatch`"], rows


def place(line: Line) -> tuple[str, int, int]:
    """Where a line stands in a table."""
    return line["data"], ("balanced", "tail", "foreign").index(line["kind"]), line["labels"]


def cost(lines: Sequence[Line]) -> Rows:
    """CPU seconds of a run."""
    rows = []
    for line in found(lines, phase="cost"):
        seconds = (line["cpu_seconds"].get(mixing) for mixing in MIXINGS)
        rows.append([f"`{line['algorithm']}`", *("" if x is None else f"{x:.2f}" for x in seconds)])
    return ["algorithm", *(f"`{mixing}`" for mixing in MIXINGS)], rows


TABLES: dict[str, Callable[[Sequence[Line]], Rows]] = {
    "head-trained": trained,
    "head-methods": methods,
    "head-terms": terms,
    "head-cifar10": partial(terms, data="cifar10"),
    "head-birds": partial(terms, data="cub5"),
    "head-from-probe": partial(terms, start="probe"),
    "head-tail": partial(terms, kind="tail"),
    "head-foreign": partial(terms, kind="foreign"),
    "head-cost": cost,
}
