"""What was drawn for each image of a batch, and how it is carried out without a loop over images.

Operations are drawn on the CPU. So the host knows how many images each family of operations gets and can sort
the batch by operation without asking the device for anything. Magnitudes may lie on the device: what is
learned there decides them without coming back.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.augment.blend import FILTERED, blend_
from ssl_mix.augment.cutout import hide_
from ssl_mix.augment.pools import BLENDS, EVERY, FILTERS, GEOMETRY, OPERATIONS, Range
from ssl_mix.augment.resized_crop import zoom_
from ssl_mix.augment.tables import equalize_, posterize_, solarize_
from ssl_mix.augment.warp import warp_, warp_matrices

# Where the families of several operations begin and end in ``EVERY``.
_BOUNDS = tuple(accumulate((4, len(BLENDS), len(GEOMETRY), len(FILTERS))))


class Choices(NamedTuple):
    """What happens to each image in each of D draws.

    Attributes:
        operation: position in ``pools.EVERY``, (D, N) int64 on the CPU.
        magnitude: in the operation's own unit (factor, bits, value, degrees, slope, pixels, share of the
            side), (D, N) float64, on the CPU or where the images are.
        place: center of what "cutout" hides, as shares of height and width, (2, D, N) float on the CPU; None
            where nothing is hidden.
    """

    operation: Tensor
    magnitude: Tensor
    place: Tensor | None = None


def ranges_in_pixels(
    ranges: Mapping[str, Range], geometry: float, height: int, width: int, names: tuple[str, ...] = OPERATIONS
) -> Tensor:
    """(14, 4): low, high, signed, whole of each operation; translations in pixels, ``geometry`` applied to
    all that move pixels."""
    units = dict.fromkeys(GEOMETRY, geometry)
    units |= {"translate_x": geometry * width, "translate_y": geometry * height}
    found = ((units.get(name, 1.0), ranges.get(name, Range())) for name in names)
    return torch.tensor(
        [(unit * r.low, unit * r.high, r.signed, r.whole) for unit, r in found], dtype=torch.float64
    )


def magnitudes(ranges: Tensor, level: Tensor, sign: Tensor) -> Tensor:
    """Magnitudes of operations with these ranges (..., 4) at a level (...,) in [0, 1]; where the sign is
    random it is negative for ``sign`` (...,) below 1/2."""
    low, high, signed, whole = ranges.unbind(-1)
    step = (high - low) * level
    step = torch.where(whole > 0, step.trunc(), step)
    return low + torch.where((signed > 0) & (sign < 0.5), -step, step)


def apply_choices(images: Tensor, choices: Choices) -> Tensor:
    """Carry out what was drawn, one draw after the other, on uint8 images (N, C, H, W) with 1 or 3
    channels."""
    device = images.device
    sorting = choices.operation.argsort(dim=1, stable=True)
    counts = F.one_hot(choices.operation, len(EVERY)).sum(dim=1).tolist()
    operation, magnitude = choices.operation, choices.magnitude
    *orders, home = _orders(sorting).to(device, non_blocking=True)
    centers = _near(choices.place, sorting, device)
    operation, sorting = (what.to(magnitude.device, non_blocking=True) for what in (operation, sorting))
    matrices = warp_matrices(operation, magnitude, *images.shape[2:]).gather(2, sorting.expand(6, -1, -1))
    values = magnitude.gather(1, sorting).float().to(device, non_blocking=True)
    moves = matrices.to(device, non_blocking=True).unbind(1)
    for draw, order in enumerate(orders):
        images = images.index_select(0, order)
        _alter_(images, values[draw], moves[draw], centers[draw], counts[draw])
    return images.index_select(0, home)


def _near(place: Tensor | None, sorting: Tensor, device: torch.device) -> Sequence[Tensor | None]:
    """Sorted places of each draw, (2, N) each, on the device; None where nothing needs them."""
    if place is None:
        return [None] * len(sorting)
    return place.gather(2, sorting.expand(2, -1, -1)).to(device, non_blocking=True).unbind(1)


def _orders(sorting: Tensor) -> Tensor:
    """How to reorder the batch before each draw, and back at the end.

    Args:
        sorting: the images in the order each draw wants, (D, N) int64.

    Returns:
        (D + 1, N) int64, each relative to the order before.
    """
    start = torch.arange(sorting.shape[1]).expand_as(sorting)
    places = torch.cat((start[:1], torch.empty_like(sorting).scatter_(1, sorting, start)))
    return torch.cat((places[:-1].gather(1, sorting), places[-1:]))


def _alter_(
    images: Tensor, values: Tensor, matrices: Tensor, centers: Tensor | None, counts: list[int]
) -> None:
    """One draw on images sorted by operation.

    Args:
        images: (N, C, H, W) uint8; overwritten.
        values: magnitudes (N,) float32.
        matrices: of ``warp_``, (6, N).
        centers: of what is hidden, (2, N), if anything is.
        counts: images of each operation.
    """
    blends, warps, filters = (counts[start:end] for start, end in pairwise(_BOUNDS))
    sizes = [*counts[:4], sum(blends), sum(warps), sum(filters), *counts[_BOUNDS[-1] :]]
    _, posterized, solarized, equalized, blended, warped, filtered, hidden, zoomed = images.split_with_sizes(
        sizes
    )
    _, bits, threshold, _, factor, _, degree, side, margin = values.split_with_sizes(sizes)
    if len(posterized):
        posterize_(posterized, bits)
    if len(solarized):
        solarize_(solarized, threshold)
    if len(equalized):
        equalize_(equalized)
    if len(blended):
        blend_(blended, factor, blends)
    if len(warped):
        warp_(warped, matrices.split_with_sizes(sizes, 1)[5])
    if len(filtered):
        blend_(filtered, degree, filters, FILTERED)
    if len(hidden) and centers is not None:
        hide_(hidden, side, centers.split_with_sizes(sizes, 1)[7])
    if len(zoomed):
        zoom_(zoomed, margin)
