"""Look at mixers: a grid of mixed images, their masks and shares, one row per mixer."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ssl_mix.mixers import Mixed

LONGEST = 18  # letters of a class name that fit above an image


class Panel(NamedTuple):
    """What one block of columns shows.

    Attributes:
        title: above the block.
        images_a: base images (N, C, H, W) with values in [0, 1].
        images_b: their partners.
        names_a: class of each base image.
        names_b: class of each partner.
        mixed: by mixer, the mixed pairs, with values in [0, 1] too.
    """

    title: str
    images_a: Tensor
    images_b: Tensor
    names_a: Sequence[str]
    names_b: Sequence[str]
    mixed: Mapping[str, Mixed]


def draw_mixers(panels: Sequence[Panel]) -> Figure:
    """Rows: the images, then each mixer. Columns: for each pair of a panel the mixed image and its mask.

    A mixer that a panel lacks leaves its cells empty. A mask is white where the base image (the left one of
    the first row) shows and black where its partner does; ``lam`` is the base image's share.
    """
    widths = [2 * len(panel.images_a) for panel in panels]
    mixers = list(dict.fromkeys(name for panel in panels for name in panel.mixed))
    rows = 1 + len(mixers)
    figure = Figure(figsize=(1.1 * sum(widths) + 1, 1.22 * rows), layout="constrained")
    grid = figure.subplots(rows, sum(widths), squeeze=False)
    for number, panel in enumerate(panels):
        cells = grid[:, sum(widths[:number]) : sum(widths[: number + 1])]
        _draw_images(cells[0], panel)
        for row, name in zip(cells[1:], mixers, strict=True):
            if name in panel.mixed:
                _draw_mixed(row, panel.mixed[name])
            else:
                _leave_empty(row)
            if number == 0:
                _name_row(row[0], name)
    return figure


def _draw_images(row: Sequence[Axes], panel: Panel) -> None:
    for pair, (name_a, name_b) in enumerate(zip(panel.names_a, panel.names_b, strict=True)):
        _show(row[2 * pair], panel.images_a[pair], name_a)
        _show(row[2 * pair + 1], panel.images_b[pair], name_b)
    _name_row(row[0], panel.title)


def _draw_mixed(row: Sequence[Axes], mixed: Mixed) -> None:
    for pair, lam in enumerate(mixed.lam.tolist()):
        _show(row[2 * pair], mixed.images[pair], "")
        _show(
            row[2 * pair + 1], mixed.mask[pair].float().expand(1, *mixed.images.shape[2:]), f"lam {lam:.2f}"
        )


def _leave_empty(row: Sequence[Axes]) -> None:
    for axes in row:
        axes.set_frame_on(False)
        axes.set_xticks([])
        axes.set_yticks([])


def _name_row(axes: Axes, name: str) -> None:
    axes.set_ylabel(name, rotation=0, horizontalalignment="right", fontsize=10)


def _show(axes: Axes, image: Tensor, title: str) -> None:
    values = image.detach().clamp(0, 1).permute(1, 2, 0).expand(-1, -1, 3 if len(image) == 1 else -1)
    axes.imshow(values.to(torch.float32).numpy(), interpolation="nearest")
    axes.set_title(title if len(title) <= LONGEST else title[: LONGEST - 3] + "...", fontsize=7, pad=2)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
