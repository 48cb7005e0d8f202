"""The table of training the whole network, from the lines of ``scripts/body_study.py``."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.head_tables import difference, percent

Line = dict[str, Any]
Rows = tuple[Sequence[str], list[list[str]]]
COLUMNS = (
    "method",
    "lr",
    "accuracy",
    "over the probe",
    "over its start",
    "over no mixing",
    "end alone over its start",
)
MIXING = " --mix "


def beside_probe(lines: Sequence[Line], *, pixels: int) -> Rows:
    """A row for each method at one size of images: accuracies of what is kept, against the linear probe,
    against the head that training began with, and against the same algorithm without mixing where that began
    alike; and those of the weights in the end against the start. Paired by the choice of labels."""
    found: dict[str, list[Line]] = {}
    for line in sorted(lines, key=lambda line: line["split"]):
        if (line["phase"], line["image_size"]) == ("report", pixels):
            found.setdefault(line["method"], []).append(line)
    rows = []
    for method, own in found.items():
        kept, probe, end = (values(own, name) for name in ("test_accuracy", "probe_accuracy", "end_accuracy"))
        start, plain = started(own), found[method.partition(MIXING)[0]]
        alike = MIXING in method and ("start_accuracy" in own[0]) == ("start_accuracy" in plain[0])
        control = values(plain, "test_accuracy") if alike else None
        cells = (
            difference(kept, probe),
            difference(kept, start),
            difference(kept, control),
            difference(end, start),
        )
        rows.append([f"`{method}`", f"{own[0]['lr']:g}", percent(kept), *cells])
    return COLUMNS, rows


def values(lines: Sequence[Line], name: str) -> list[float] | None:
    """One number of each line; None where lines lack it."""
    return [line[name] for line in lines] if all(name in line for line in lines) else None


def started(lines: Sequence[Line]) -> list[float] | None:
    """Accuracies of the head that training began with: prototypes, or the probe; None for a random one."""
    if "--head-start random" in lines[0]["method"]:
        return None
    return values(lines, "start_accuracy") or values(lines, "probe_accuracy")


TABLES: dict[str, tuple[str, Callable[[Sequence[Line]], Rows]]] = {
    "whole-network": ("body_study", partial(beside_probe, pixels=96)),
    "whole-network-128": ("body_study", partial(beside_probe, pixels=128)),
}
