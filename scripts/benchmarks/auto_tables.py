"""Tables of ``ssl-mix auto`` beside the linear probe, from the lines of ``scripts/auto_ladder.py``."""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from scipy.stats import t

Line = dict[str, Any]
Table = tuple[Sequence[str], list[list[str]]]
NAMES = {
    "caltech50": "Caltech-101, 50 classes",
    "cub5": "5 species of birds",
    "cifar10s": "CIFAR-10",
    "catdog": "cats and dogs",
    "topics": "8 ranges of ImageNet",
}


def beside_probe(lines: Sequence[Line], *, redrawn: bool = False) -> Table:
    """What was chosen: a row for each set of images, size, kind of unlabeled ones and number of labels.

    Args:
        lines: of all cells.
        redrawn: take those that drew their images to test on anew, or the others.
    """
    lines = [line for line in lines if line.get("redrawn", False) == redrawn]
    columns = [
        "images",
        "pixels",
        "unlabeled",
        "labels",
        "probe",
        "probe, two looks",
        "auto",
        "difference",
        "95 %",
        "below",
    ]
    return columns, [[*cell, *row(found)] for cell, found in cells(lines)]


def votes(lines: Sequence[Line]) -> Table:
    """V-PET beside its teachers: a row for each set of images and number of labels, accuracies in per cent,
    and the paired difference of the last one to the whitened head."""
    ways = list(lines[0]["accuracy"])
    rows = []
    for (images, *_, labels), found in cells([{"kind": "", "image_size": 0, **line} for line in lines]):
        values = {way: [100 * line["accuracy"][way] for line in found] for way in ways}
        gains = [one - other for one, other in zip(values[ways[-1]], values["whitened"], strict=True)]
        means = (f"{statistics.mean(values[way]):.1f}" for way in ways)
        rows.append(
            [images, labels, *means, f"{statistics.mean(gains):+.1f} +- {statistics.stdev(gains):.1f}"]
        )
    return ["images", "labels", *ways, "to whitened"], rows


def cells(lines: Sequence[Line]) -> Iterator[tuple[tuple[str, ...], list[Line]]]:
    """Lines that differ by the choice of labels alone, with the words for them."""
    found: dict[tuple[int, int, str, int], list[Line]] = {}
    for line in lines:
        place = list(NAMES).index(line["data"])
        key = (place, line["image_size"], line["kind"], line["labels_per_class"])
        found.setdefault(key, []).append(line)
    for (place, size, kind, labels), members in sorted(found.items()):
        yield (list(NAMES.values())[place], str(size), kind, str(labels)), members


def row(lines: Sequence[Line]) -> list[str]:
    """Accuracies in per cent, and the paired difference of the last to the first with the interval of its
    mean."""
    ours, probe = ([100 * line[name] for line in lines] for name in ("accuracy", "probe_accuracy"))
    twice = [100 * line["tests"]["probe"] for line in lines]
    gains = [one - other for one, other in zip(ours, probe, strict=True)]
    mean, half = interval(gains)
    return [
        *(f"{statistics.mean(values):.1f}" for values in (probe, twice, ours)),
        f"{mean:+.1f}",
        f"{mean - half:+.1f} to {mean + half:+.1f}",
        f"{sum(gain < 0 for gain in gains)} of {len(gains)}",
    ]


def interval(gains: Sequence[float]) -> tuple[float, float]:
    """The mean and half of its 95 % interval."""
    half = t.ppf(0.975, len(gains) - 1) * statistics.stdev(gains) / math.sqrt(len(gains))
    return statistics.mean(gains), half
