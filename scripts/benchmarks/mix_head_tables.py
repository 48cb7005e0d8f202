"""Tables of mixing where a network learns from nothing: which head mixed images teach, and what else is set;
from the lines of ``scripts/cifar_ssl.py``."""

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.head_tables import difference, percent

Line = dict[str, Any]
Rows = tuple[Sequence[str], list[list[str]]]
MIXES = ("none", "mixup", "dm", "as", "dm-as")
USUAL: dict[str, Any] = {"threshold": 0.95, "mix_weight": 1.0, "mix_ramp": "cosine"}
COLUMNS = (
    "`--mix`",
    "shared head",
    "over `none`",
    "confident",
    "own head",
    "over `none`",
    "confident",
    "own over shared",
)


def heads(lines: Sequence[Line], *, algorithm: str, **changed: float | str) -> Rows:
    """A row for each mixing of an algorithm: accuracy in per cent with a shared head and with one of its own
    for mixed images, each against no mixing and against each other, paired by the seed with the 95 % interval
    of the mean; and the share of unlabeled images whose pseudo-label counts in the end, in per cent.

    Args:
        lines: of all runs.
        algorithm: by name.
        **changed: what is not ``USUAL``.
    """
    plain = accuracies(runs(lines, algorithm, "none", "shared", changed))
    rows = []
    for mix in MIXES:
        both = [runs(lines, algorithm, mix, head, changed) for head in ("shared", "own")]
        if both[0]:
            control = None if mix == "none" else plain
            cells = [(percent(one), difference(one, control)) for one in map(accuracies, both)]
            shares = map(confident, both)
            columns = [text for cell, share in zip(cells, shares, strict=True) for text in (*cell, share)]
            rows.append([f"`{mix}`", *columns, difference(*map(accuracies, reversed(both)))])
    return COLUMNS, rows


def runs(
    lines: Sequence[Line], algorithm: str, mix: str, head: str, changed: dict[str, float | str]
) -> list[Line]:
    """The lines of one cell, by seed; terms that are not there have no weight and no ramp."""
    names = ["threshold"] if mix == "none" else list(USUAL)
    wanted = {"mix": mix, "mix_head": head} | {name: (USUAL | changed)[name] for name in names}
    return sorted(
        (
            line
            for line in lines
            if line["algorithm"] == algorithm and wanted.items() <= setting(line).items()
        ),
        key=lambda line: line["seed"],
    )


def setting(line: Line) -> dict[str, Any]:
    """Of a run: its threshold, and how it mixes."""
    found = line["identity"]
    return {"threshold": found["algorithm.threshold"], **found["algorithm.mixing"]}


def accuracies(lines: Sequence[Line]) -> list[float] | None:
    """After the last step, in [0, 1]; None where none was run."""
    return [1 - line["error_last"] / 100 for line in lines] or None


def confident(lines: Sequence[Line]) -> str:
    """The share of pseudo-labels that count, in whole per cent."""
    return f"{statistics.mean(line['coverage'] for line in lines):.0f}" if lines else ""


SETTINGS: dict[str, dict[str, Any]] = {
    "fixmatch": {"algorithm": "fixmatch"},
    "flexmatch": {"algorithm": "flexmatch"},
    "threshold": {"algorithm": "fixmatch", "threshold": 0.8},
    "weight": {"algorithm": "fixmatch", "mix_weight": 0.3},
    "ramp": {"algorithm": "fixmatch", "mix_ramp": "none"},
}
TABLES: dict[str, tuple[str, Callable[[Sequence[Line]], Rows]]] = {
    f"own-head-{name}": ("mixing_alone", partial(heads, **what)) for name, what in SETTINGS.items()
}
