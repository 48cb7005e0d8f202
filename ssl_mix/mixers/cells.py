"""Grids of cells over an image: which pixel lies in which cell."""

import torch
from torch import Tensor


def cell_of_pixel(side: int, cells: int, device: torch.device) -> Tensor:
    """Cell in which each of ``side`` pixels lies when a line is cut into ``cells`` equal parts: (side,)
    int64, never falling.

    ``floor(p cells / side)``. A grid of a multiple of ``cells`` refines this one; where ``cells`` does not
    divide ``side``, some cells are a pixel wider than others.
    """
    return torch.arange(side, device=device) * cells // side


def spread(cells: Tensor, height: int, width: int) -> Tensor:
    """Values (N, h, w) of cells for every pixel of an image, (N, 1, height, width)."""
    rows = cell_of_pixel(height, cells.shape[1], cells.device)
    columns = cell_of_pixel(width, cells.shape[2], cells.device)
    return cells.index_select(1, rows).index_select(2, columns)[:, None]
