"""What a run says of its test images: by confidence, by class, and what it confuses."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_mix.errors import counts_of
from ssl_mix.evaluation import share_interval
from ssl_mix.evaluation.calibration import of_equal_width
from ssl_mix.reports.blocks import Block, Fold, Matrix, Number, Reliability, Table, Text
from ssl_mix.reports.told import Shown

BINS = 15
PAIRS = 8  # most confused ones that are told in words


def percent(share: float, digits: int = 1) -> str:
    """A share as "82.4 %"."""
    return f"{100 * share:.{digits}f} %"


def share_cell(right: int, total: int) -> tuple[Number | str, Number, str]:
    """Accuracy, images and 95 % interval as cells."""
    count = Number(str(total), total)
    if not total:
        return "no image", count, ""
    low, high = share_interval(right, total)
    return Number(percent(right / total), right / total), count, f"{100 * low:.1f} to {100 * high:.1f} %"


def confidence_blocks(shown: Shown) -> list[Block]:
    """Accuracy by confidence: whether the run knows what it knows."""
    right = (shown.predicted == shown.labels).double()
    confidence = shown.confidence.double()
    found = of_equal_width(confidence, right, BINS)
    bins, rows = [], []
    for number, count, sure, share in zip(*(column.tolist() for column in found), strict=True):
        low, high = 100 * number / BINS, 100 * (number + 1) / BINS
        bins.append((low, high, 100 * share, 100 * sure, count))
        accuracy, images, interval = share_cell(round(share * count), count)
        rows.append((f"{low:.0f} to {high:.0f} %", percent(sure), accuracy, interval, images))
    mean = (confidence - right).mean().item()
    kind = "more sure than right" if mean > 0 else "less sure than right"
    text = (
        f"On average the run is {kind}, by {abs(100 * mean):.1f} points; expected calibration error "
        f"{percent(found.error)} ({BINS} bins, {counts_of(len(shown), 'image')}). Bars are the accuracy of "
        "images of such a confidence, dots their mean confidence: were it perfectly calibrated, bars would "
        "end at the dots. Paler bars hold fewer images."
    )
    header = ("confidence", "mean confidence", "accuracy", "95 % interval", "images")
    return [Text(text), Reliability(bins), Fold("The same as a table", [Table(rows, header)])]


def class_blocks(shown: Shown, classes: Sequence[str]) -> list[Block]:
    """Accuracy of each class, and how often it is named at all."""
    counts = torch.bincount(shown.labels, minlength=len(classes)).tolist()
    named = torch.bincount(shown.predicted, minlength=len(classes)).tolist()
    hits = _by_class(shown, len(classes)).tolist()
    rows = [
        (name, *share_cell(right, count), Number(str(taken), taken))
        for name, right, count, taken in zip(classes, hits, counts, named, strict=True)
    ]
    header = ("class", "accuracy", "images", "95 % interval", "named by the run")
    return [
        Table(rows, header, f"{len(classes)} classes, {counts_of(len(shown), 'test image')}", sortable=True)
    ]


def _by_class(shown: Shown, num_classes: int) -> Tensor:
    return torch.bincount(shown.labels[shown.predicted == shown.labels], minlength=num_classes)


def confusion_blocks(shown: Shown, classes: Sequence[str]) -> list[Block]:
    """The confusion matrix, its largest entries in words first."""
    cells = Counter(zip(shown.labels.tolist(), shown.predicted.tolist(), strict=True))
    return confusion_of([(*pair, images) for pair, images in sorted(cells.items())], classes)


def confusion_of(cells: Sequence[Sequence[int]], classes: Sequence[str]) -> list[Block]:
    """A confusion matrix by its (true class, predicted class, images), in words and to look at."""
    total = Counter[int]()
    for truth, _, images in cells:
        total[truth] += images
    wrong = sorted((cell for cell in cells if cell[0] != cell[1]), key=lambda cell: (-cell[2], *cell[:2]))
    if not wrong:
        return [Text("Nothing is confused."), *([Matrix(classes, cells)] if len(classes) > 1 else [])]
    rows = [
        (
            f"{classes[truth]} is taken for {classes[predicted]}",
            Number(f"{images} of {total[truth]}", images),
            Number(percent(images / total[truth]), images / total[truth]),
        )
        for truth, predicted, images in wrong[:PAIRS]
    ]
    header = ("most confused", "images", "of the class")
    return [Table(rows, header), Matrix(classes, cells)]
