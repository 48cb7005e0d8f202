"""GridMix: equal holes in a regular grid, of as much of the image as lam asks for."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ssl_mix.errors import UserError
from ssl_mix.mixers import GridMix, Pair
from ssl_mix.mixers.gridmix import holes
from ssl_mix.mixers.mixer import Mixed


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blend(
    samples: int, size: tuple[int, int], lam: float | None = None, seed: int = 0, **options: Any
) -> Mixed:
    images = torch.zeros(samples, 1, *size)
    return GridMix(**options).blend(Pair(images, images + 1), lam, generator(seed))


def lines(mixed: Mixed) -> Iterator[tuple[Any, ...]]:
    """By sample: whether a row, and whether a column, runs through holes."""
    inside = mixed.images[:, 0].bool().numpy()
    return zip(inside.any(2), inside.any(1), inside, strict=True)


def runs(line: NDArray[Any]) -> NDArray[Any]:
    """Lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(int), [0]])))
    return edges[1::2] - edges[::2]


def test_a_line_of_holes_is_that_of_a_loop() -> None:
    draws = np.random.default_rng(0)
    cells, extent = draws.integers(1, 7, 200), draws.uniform(0.4, 1, 200)
    width, place = draws.uniform(0.05, 0.95, 200), draws.uniform(0, 1, (200, 2))
    tensors = (torch.from_numpy(array).double() for array in (cells, extent, width, place))
    found = holes(*tensors, 50).numpy()
    for k in range(200):
        cell = extent[k] / cells[k]
        expected = np.zeros(50, bool)
        for number in range(cells[k]):
            begin = place[k, 0] * (1 - extent[k]) + number * cell + place[k, 1] * (1 - width[k]) * cell
            centers = (np.arange(50) + 0.5) / 50
            expected |= (centers >= begin) & (centers < begin + width[k] * cell)
        assert np.array_equal(found[k], expected)


@pytest.mark.parametrize("size", [(96, 160), (128, 128)])
def test_holes_are_equal_and_their_number_is_drawn_from_the_range(size: tuple[int, int]) -> None:
    numbers = []
    for rows, columns, inside in lines(blend(200, size, 0.6)):
        assert np.array_equal(inside, rows[:, None] & columns)
        for line in (rows, columns):
            assert np.ptp(runs(line)) <= 1
        numbers.append((len(runs(rows)), len(runs(columns))))
    assert {columns for _, columns in numbers} == {2, 3, 4, 5, 6}
    assert len({rows for rows, _ in numbers}) > 3


def test_cells_are_nearly_square() -> None:
    for rows, columns, _ in lines(blend(200, (300, 400), 0.7)):
        pitches = [np.diff(np.flatnonzero(np.diff(line.astype(int)) == 1)) for line in (rows, columns)]
        if all(len(pitch) for pitch in pitches):
            assert 0.6 < pitches[0].mean() / pitches[1].mean() < 1.6


@pytest.mark.parametrize("lam", [0.0, 0.1, 0.4, 0.75, 0.95, 1.0])
def test_a_given_lam_is_kept_to_within_a_pixel_per_hole(lam: float) -> None:
    """An axis of n holes is off by less than n pixels, and the share by less than both axes together."""
    size = (120, 90)
    mixed = blend(300, size, lam)
    for share, (rows, columns, _) in zip(mixed.lam.tolist(), lines(mixed), strict=True):
        gone = lam < 0.2  # The gaps between some holes are less than a pixel.
        numbers = (12, 6) if gone else (len(runs(rows)), len(runs(columns)))
        assert abs(share - lam) <= numbers[0] / size[0] + numbers[1] / size[1] + 1e-6
    assert mixed.lam.mean().item() == pytest.approx(lam, abs=0.01)


@pytest.mark.parametrize("size", [(8, 8), (8, 40), (17, 5), (3, 3), (1, 9)])
def test_cells_of_small_pictures_are_not_lost_in_rounding(size: tuple[int, int]) -> None:
    """A cell has four pixels, or is the only one."""
    mixed = blend(400, size, 0.5, cells=(6, 6))
    for rows, columns, _ in lines(mixed):
        assert len(runs(rows)) <= max(1, size[0] // 4)
        assert len(runs(columns)) <= max(1, size[1] // 4)
    assert torch.equal(mixed.lam, (1 - mixed.images.double().mean((1, 2, 3))).float())


@pytest.mark.parametrize(("lam", "error"), [(0.3, 0.067), (0.5, 0.053), (0.7, 0.045)])
def test_the_share_of_small_pictures(lam: float, error: float) -> None:
    """Six cells in eight pixels would have errors of 0.08."""
    share = blend(2000, (8, 8), lam).lam
    assert (share - lam).abs().mean() < error


def test_the_grid_covers_part_of_the_picture_and_moves() -> None:
    mixed = blend(300, (64, 64), 0.9, area=(0.5, 0.5))
    shown = mixed.images.sum((0, 1))
    assert (shown[4:-4, 4:-4] > 0).all()
    assert shown.max() < 150
    for rows, columns, _ in lines(mixed):
        extent = [np.ptp(np.flatnonzero(line)) / 64 for line in (rows, columns)]
        assert extent[0] * extent[1] <= 0.5


@pytest.mark.parametrize(
    "options",
    [{"cells": (0, 3)}, {"cells": (4, 3)}, {"cells": (1.5, 3)}, {"area": (0, 0.5)}, {"area": (0.5, 1.2)}],
)
def test_options(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        GridMix(**options)
