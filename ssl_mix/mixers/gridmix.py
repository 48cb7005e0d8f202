"""GridMix: paste the partner into the holes of a grid."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_number, check_positive
from ssl_mix.mixers._common import composite, cross, pixel_centers, resolve_lam, sample_uniform, share_outside
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair

SMALLEST_CELL = 4


def holes(cells: Tensor, extent: Tensor, width: Tensor, place: Tensor, side: int) -> Tensor:
    """Pixels in the holes of a row of equal cells, by their centers.

    Args:
        cells: (N,), how many there are.
        extent: (N,), what they cover together, as a share of the line.
        width: (N,), of a hole as a share of its cell.
        place: (N, 2) in [0, 1): where the row begins in the line and a hole in its cell, from first to last
            possible.
        side: of the line, in pixels.

    Returns:
        (N, side) bool. Each hole has its width to within a pixel.
    """
    begin = place[:, :1] * (1 - extent[:, None])
    offset = place[:, 1:] * (1 - width[:, None])
    position = (pixel_centers(side, cells.device) - begin) / extent[:, None] * cells[:, None]
    in_cell = position - position.floor()
    in_grid = (position >= 0) & (position < cells[:, None])
    return in_grid & (in_cell >= offset) & (in_cell < offset + width[:, None])


@dataclass(frozen=True)
class GridMix(Mixer):
    """Paste the partner into the holes of a grid, each image with a grid of its own.

    The grid covers an area of the image drawn uniformly from ``area``, anywhere, of any ratio of sides from 1
    : 2 to 2 : 1 relative to the image. A row has 2 to 6 cells, drawn from ``cells``, and there are as many
    rows as make the cells nearly square; in small images there are fewer, so that a cell has a side of 4
    pixels at least or is the only one. Each cell has one hole, at the same random place in each. The holes
    are as large as needed for ``1 - lam`` of the whole image, with one ``lam ~ Beta(alpha, alpha)`` per
    sample; where that is more than the area of the grid, the grid grows. The returned lam is the share of
    pixels outside the holes, off by at most the number of cells over the side, in pixels, for rows and for
    columns; in images of 8 x 8 by 0.05 on average, in larger ones by less. Works on any dtype, uint8
    included.

    Args:
        alpha: of the Beta distribution.
        cells: fewest and most cells in a row of an image that is large enough.
        area: smallest and largest share of the image that the grid covers, in (0, 1].

    Raises:
        ValueError: alpha is not above 0, cells or area are no such range, or shapes differ.

    Source: Baek et al., "GridMix: Strong Regularization through Local Context Mapping" (2021), in the form
    that OpenMixup has. Differs from that: the share is that of the whole image, so lam has its distribution
    and a given lam is kept to; a grid per sample; a whole number of cells; ratios of sides as often below 1
    as above.

    Examples:
        >>> a, b = torch.ones(4, 3, 8, 8), torch.zeros(4, 3, 8, 8)
        >>> mixed, lam = GridMix().mix(a, b)
        >>> mixed.mean(dim=(1, 2, 3)).allclose(lam)  # lam is the share of pixels outside the holes
        True
    """

    alpha: float = 1.0
    cells: tuple[int, int] = (2, 6)
    area: tuple[float, float] = (0.5, 1.0)

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        for name in ("cells", "area"):
            given = getattr(self, name)
            if not (isinstance(given, tuple | list) and len(given) == 2):
                raise UserError(f"{name} must be two numbers, the smaller one first, got {given!r:.40}")
            for value in given:
                check_number(name, value)
        fewest, most = self.cells
        if not 1 <= fewest <= most or not (isinstance(fewest, int) and isinstance(most, int)):
            raise UserError(f"cells must be whole numbers (fewest, most) from 1 on, got {self.cells}")
        low, high = self.area
        if not 0 < low <= high <= 1:
            raise UserError(f"area must be (smallest, largest) in (0, 1], got {self.area}")

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Paste ``images_b`` into the holes."""
        images = pair.images_a
        height, width = images.shape[2:]
        lam = resolve_lam(lam, self.alpha, images, generator)
        draws = sample_uniform((len(images), 7), generator, images.device)
        area = self._between(self.area, draws[:, 0]).maximum(1 - lam)
        tall = (area.sqrt() * 2 ** (draws[:, 1] - 0.5)).maximum(area).clamp(max=1)
        wide = area / tall
        drawn = self._between((self.cells[0], self.cells[1] + 1), draws[:, 2]).floor()
        columns = _fitting(drawn, wide * width)
        rows = _fitting((columns * (tall * height) / (wide * width)).round(), tall * height)
        hole = ((1 - lam) / area).clamp(max=1).sqrt()
        inside = (
            holes(rows, tall, hole, draws[:, 3:5], height),
            holes(columns, wide, hole, draws[:, 5:], width),
        )
        mask = ~cross(*inside)
        return Mixed(composite(images, pair.images_b, mask, own_b=pair.own_b), share_outside(*inside), mask)

    @staticmethod
    def _between(limits: tuple[float, float], draw: Tensor) -> Tensor:
        return limits[0] + (limits[1] - limits[0]) * draw


def _fitting(cells: Tensor, length: Tensor) -> Tensor:
    """As many of the cells (N,) as have a side of 4 pixels in rows of this length, in pixels; one at
    least."""
    return cells.minimum((length / SMALLEST_CELL).floor()).clamp(min=1)
