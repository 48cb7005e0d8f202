"""Look at mixers: a grid of mixed pictures, their masks and shares, one row per mixer."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ssl_mix.mixers import MixedBatch


class Panel(NamedTuple):
    """What one block of columns shows.

    Attributes:
        title: above the block.
        pictures: (N, C, H, W) with values in [0, 1].
        names: the class of each picture.
        mixed: by mixer, the batch mixed with itself, its pictures in [0, 1] too.
    """

    title: str
    pictures: Tensor
    names: Sequence[str]
    mixed: Mapping[str, MixedBatch]


def draw_mixers(panels: Sequence[Panel], pairs: int) -> Figure:
    """Rows: the pictures, then each mixer. Columns: for each panel ``pairs`` mixed pictures with their masks.

    A mask is white where the base picture shows and black where its partner does; ``lam`` is the base picture's share.
    """
    rows = 1 + max(len(panel.mixed) for panel in panels)
    columns = 2 * pairs * len(panels)
    figure = Figure(figsize=(1.1 * columns + 1, 1.25 * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for block, panel in enumerate(panels):
        cells = grid[:, 2 * pairs * block : 2 * pairs * (block + 1)]
        _draw_pictures(cells[0], panel)
        for row, (name, batch) in zip(cells[1:], panel.mixed.items(), strict=True):
            _draw_mixed(row, batch, panel.names)
            if block == 0:
                row[0].set_ylabel(name, rotation=0, horizontalalignment="right", fontsize=10)
    return figure


def _draw_pictures(row: Sequence[Axes], panel: Panel) -> None:
    for position, axes in enumerate(row):
        if position < len(panel.pictures):
            _show(axes, panel.pictures[position], panel.names[position])
        else:
            axes.set_axis_off()
    row[0].set_ylabel(panel.title, rotation=0, horizontalalignment="right", fontsize=10)


def _draw_mixed(row: Sequence[Axes], batch: MixedBatch, names: Sequence[str]) -> None:
    assert batch.mask is not None
    for pair in range(len(row) // 2):
        partner = names[int(batch.partner[pair])]
        lam = batch.target.lam[pair].item()
        _show(row[2 * pair], batch.images[pair], f"{names[pair]} / {partner}")
        mask = batch.mask[pair].float().expand(1, *batch.images.shape[2:])
        _show(row[2 * pair + 1], mask, f"lam {lam:.2f}")


def _show(axes: Axes, picture: Tensor, title: str) -> None:
    values = picture.detach().clamp(0, 1).permute(1, 2, 0).expand(-1, -1, 3 if len(picture) == 1 else -1)
    axes.imshow(values.to(torch.float32).numpy(), interpolation="nearest")
    axes.set_title(title, fontsize=7, pad=2)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
