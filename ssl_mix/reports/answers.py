"""Test images with what several methods take them for."""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ssl_mix.datasets import ImageSet

COLUMNS = 8
ROWS = {"all right": 1, "some right": 2, "none right": 1}
RIGHT, WRONG = "green", "firebrick"
# Inches: side of an image, between two, the class above it, a line below it, and the words on the left.
SIDE, GAP, TITLE, LINE, LEFT = 1.4, 0.15, 0.2, 0.15, 1.2


def draw_answers(test: ImageSet, predicted: Mapping[str, Tensor], classes: Sequence[str]) -> Figure:
    """Images that every method gets right, that some do, and that none does, evenly spaced over all of each
    kind.

    Above an image stands its class, below it what each method takes it for, green where that is right.

    Args:
        test: N images with their labels.
        predicted: by the name of the method, the class of each image, (N,) int64.
        classes: names.
    """
    right = torch.stack([answers == test.labels for answers in predicted.values()])
    kinds = (right.all(dim=0), right.any(dim=0) & ~right.all(dim=0), ~right.any(dim=0))
    lines = []
    for (name, count), kind in zip(ROWS.items(), kinds, strict=True):
        members = torch.nonzero(kind).flatten()
        parts = torch.split(spread(members, COLUMNS * count), COLUMNS)
        labels = [f"{name}:\n{len(members)} of {len(kind)}", *[""] * (len(parts) - 1)]
        lines += [line for line in zip(labels, parts, strict=True) if len(line[1])]
    between = TITLE + LINE * len(predicted)
    width, height = LEFT + COLUMNS * (SIDE + GAP), len(lines) * (SIDE + between)
    figure = Figure(figsize=(width, height))
    grid = figure.subplots(len(lines), COLUMNS, squeeze=False)
    edges = {"left": LEFT / width, "right": 1 - GAP / width, "top": 1 - TITLE / height}
    edges["bottom"] = LINE * len(predicted) / height
    figure.subplots_adjust(**edges, wspace=GAP / SIDE, hspace=between / SIDE)
    for row, (label, index) in zip(grid, lines, strict=True):
        for axes in row:
            _make_bare(axes)
        row[0].set_ylabel(label, rotation=0, horizontalalignment="right")
        [images] = test.images.batches([index], torch.device("cpu"))
        for axes, position, image in zip(row, index.tolist(), images, strict=False):
            axes.imshow(image.expand(3, -1, -1).permute(1, 2, 0).numpy())
            axes.set_title(classes[int(test.labels[position])], fontsize=8, pad=2)
            for place, (method, answers) in enumerate(predicted.items()):
                text = f"{method}: {classes[int(answers[position])]}"
                _write_below(axes, place, text, RIGHT if right[place, position] else WRONG)
    return figure


def spread(members: Tensor, count: int) -> Tensor:
    """At most ``count`` of (M,) members, evenly spaced, in order."""
    kept = min(count, len(members))
    return members[torch.arange(kept) * len(members) // max(kept, 1)]


def _make_bare(axes: Axes) -> None:
    axes.set_frame_on(False)
    axes.set_xticks([])
    axes.set_yticks([])


def _write_below(axes: Axes, line: int, text: str, color: str) -> None:
    place = -(0.03 + LINE * line) / SIDE
    axes.text(0, place, text, transform=axes.transAxes, color=color, fontsize=7, verticalalignment="top")
