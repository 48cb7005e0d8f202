"""PuzzleMix's transport: move the salient patches of an image to where it is shown."""

import torch
from torch import Tensor

from ssl_mix.mixers._common import in_channels_last, rearrange
from ssl_mix.mixers.cells import spread


def squared_distances(side: int, device: torch.device) -> Tensor:
    """Squared distances between the cells of a grid, in cells: (side^2, side^2) float32, exact so that equals
    are equal."""
    place = torch.arange(side, device=device, dtype=torch.float32)
    squares = (place[:, None] - place).square()
    return (squares[:, None, :, None] + squares[None, :, None]).flatten(2).flatten(0, 1)


def transport_plan(shares: Tensor, shown: Tensor, distance_weight: float) -> Tensor:
    """Which patch each cell receives.

    Moving patch i to cell j costs ``distance_weight d_ij^2 - s_i [j is shown]``. In each of T rounds every
    patch asks for its cheapest cell, of equals the first; a cell takes the cheapest patch that asks, and the
    others never ask there again. A cell that no patch has in the end keeps its own.

    Args:
        shares: saliency of each patch, (N, T, T) with sum 1.
        shown: whether the image is seen in each cell, (N, T, T) bool.
        distance_weight: price of a squared distance, in units of the side of the grid.

    Returns:
        (N, T^2) int64, the patch for each cell, counted row by row.
    """
    count, side = shares.shape[:2]
    patch = torch.arange(side**2, device=shares.device).expand(count, -1)
    distance = squared_distances(side, shares.device) * (distance_weight / max(side - 1, 1) ** 2)
    gain = shares.flatten(1)[:, :, None], shown.float().flatten(1)[:, None]
    price = torch.addcmul(distance, *gain, value=-1)
    # The cheapest cell of each row of the grid is remembered: in a round only the row that was asked is
    # looked at again.
    price = price.view(-1, side)
    best, column = (found.view(count, side**2, side) for found in price.min(1))
    first_row = torch.arange(0, len(price), side, device=price.device).view_as(patch)
    for _ in range(side):
        cost, row = best.min(2)
        asked = column.gather(2, row[:, :, None])[:, :, 0]
        cell = row * side + asked
        wins = _first_cheapest(cost, cell, patch)
        place = (first_row + row).flatten()
        price.view(-1).scatter_(
            0, place * side + asked.flatten(), torch.where(wins, cost, torch.inf).flatten()
        )
        again = price.index_select(0, place).min(1)
        for known, new in zip((best, column), again, strict=True):
            known.scatter_(2, row[:, :, None], new.view_as(known[:, :, :1]))
    # Those without a cell go to one more, which is then cut off.
    received = torch.cat((patch, patch[:, :1]), 1)
    return received.scatter(1, torch.where(wins, cell, side**2), patch)[:, :-1]


def _first_cheapest(cost: Tensor, cell: Tensor, patch: Tensor) -> Tensor:
    """Whether a patch costs the least of those that ask for the same cell, of equals the first: (N, P)
    bool."""
    least = torch.full_like(cost, torch.inf).scatter_reduce(1, cell, cost, "amin")
    rank = torch.where(cost == least.gather(1, cell), patch, cost.shape[1])
    first = torch.full_like(patch, cost.shape[1]).scatter_reduce(1, cell, rank, "amin")
    return patch == first.gather(1, cell)


def starts(side: int, cells: int, device: torch.device) -> Tensor:
    """First pixel of each of ``cells`` equal parts of a line, and its end: (cells + 1,) int64, as in
    ``cell_of_pixel``."""
    return (torch.arange(cells + 1, device=device) * side + cells - 1) // cells


def move_patches(images: Tensor, plan: Tensor) -> Tensor:
    """Images (N, C, H, W) made of the patches that ``plan`` (N, T^2) names.

    A patch has the size of the cell it goes to: where T does not divide the side, it may be a pixel more or
    less than its own.
    """
    height, width = images.shape[2:]
    cells = round(plan.shape[1] ** 0.5)
    patch = plan.view(-1, cells, cells)
    if height % cells == width % cells == 0 and not in_channels_last(images):
        return _move_rows(images, patch)
    rows = _shift(patch // cells, starts(height, cells, plan.device)[:, None])
    columns = _shift(patch % cells, starts(width, cells, plan.device)[None])
    shift = spread(rows * width + columns, height, width).flatten(1)
    return rearrange(images, shift + torch.arange(height * width, device=plan.device))


def _move_rows(images: Tensor, patch: Tensor) -> Tensor:
    """The same for patches of equal size, by their rows: three times as fast as by pixels.

    Args:
        images: (N, C, H, W).
        patch: (N, T, T), the patch that each cell receives; T divides H and W.
    """
    count, channels, height, width = images.shape
    cells = patch.shape[1]
    tall, wide = height // cells, width // cells
    patch = patch[:, None, :, None]
    line = torch.arange(tall, device=patch.device)[:, None]
    image = torch.arange(count * channels, device=patch.device).view(count, channels, 1, 1, 1)
    row = (image * height + patch // cells * tall + line) * cells + patch % cells
    return images.reshape(-1, wide).index_select(0, row.flatten()).view(images.shape)


def _shift(source: Tensor, starts: Tensor) -> Tensor:
    """Pixels from the start of each cell to that of its patch ``source``, on one axis, not leaving the
    image."""
    axis = 0 if starts.shape[1] == 1 else 1
    side, own = starts.flatten()[-1], starts.narrow(axis, 0, starts.shape[axis] - 1)
    size = starts.diff(dim=axis)
    return torch.minimum(starts.flatten()[source], side - size) - own
