"""The table of training the whole network, from the lines of ``scripts/body_study.py``."""

from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.head_tables import difference, percent

Line = dict[str, Any]
Rows = tuple[Sequence[str], list[list[str]]]
MIXING = " --mix "


def beside_probe(lines: Sequence[Line]) -> Rows:
    """A row for each method: accuracies of what is kept, against the linear probe and against the same
    algorithm without mixing, and those of the weights in the end against the probe; paired by the choice of
    labels."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        if line["phase"] == "report":
            found.setdefault(line["method"], []).append(line)
    rows = []
    for method, own in found.items():
        kept, probe, ends = (
            values(own, name) for name in ("test_accuracy", "probe_accuracy", "end_accuracy")
        )
        plain = method.partition(MIXING)[0]
        control = values(found[plain], "test_accuracy") if MIXING in method else None
        cells = [difference(kept, probe), difference(kept, control), difference(ends, probe)]
        rows.append([f"`{method}`", f"{own[0]['lr']:g}", percent(kept), *cells])
    columns = ["method", "lr", "accuracy", "over the probe", "over no mixing", "end alone over the probe"]
    return columns, rows


def values(lines: Sequence[Line], name: str) -> list[float] | None:
    """One number of each line, by the choice of labels; None where lines lack it."""
    ordered = sorted(lines, key=lambda line: line["split"])
    return [line[name] for line in ordered] if all(name in line for line in lines) else None


TABLES: dict[str, tuple[str, Callable[[Sequence[Line]], Rows]]] = {
    "whole-network": ("body_study", beside_probe),
}
