"""ResizeMix: the whole partner, made smaller, somewhere inside the image."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.mixers import Pair, ResizeMix
from ssl_mix.mixers.mixer import Mixed
from ssl_mix.mixers.resizemix import nearest_source


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def boxes(mask: Tensor) -> Iterator[Any]:
    """First and last row and column, exclusive, of the box in each mask (N, 1, H, W) that is False inside."""
    for inside in (~mask[:, 0]).numpy():
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        assert inside.sum() == len(rows) * len(columns)
        yield (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) if len(rows) else (0, 0, 0, 0)


def blend(
    images_a: Tensor,
    images_b: Tensor,
    lam: float | None = None,
    mixer: ResizeMix | None = None,
    seed: int = 0,
) -> Mixed:
    return (mixer or ResizeMix()).blend(Pair(images_a, images_b), lam, generator(seed))


@pytest.mark.parametrize("size", [(24, 40), (32, 32), (17, 5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_the_box_holds_the_whole_partner_as_torch_resizes_it(
    size: tuple[int, int], dtype: torch.dtype
) -> None:
    images_a, images_b = (torch.randint(0, 256, (30, 3, *size), generator=generator(s)) for s in (1, 2))
    images_a, images_b = images_a.to(dtype), images_b.to(dtype)
    mixed = blend(images_a, images_b)
    for k, (top, bottom, left, right) in enumerate(boxes(mixed.mask)):
        expected = images_a[k].clone()
        if bottom > top and right > left:
            small = F.interpolate(images_b[k : k + 1], (bottom - top, right - left), mode="nearest-exact")
            expected[:, top:bottom, left:right] = small[0]
        assert torch.equal(mixed.images[k], expected)


def test_every_length_of_every_line_is_resized_as_torch_does() -> None:
    for side in (1, 7, 32, 40, 224):
        line = torch.arange(side, dtype=torch.float64)[None, None]
        lengths = torch.arange(1, side + 1)
        found = nearest_source(torch.zeros_like(lengths), lengths, side)
        for length in lengths.tolist():
            expected = F.interpolate(line, length, mode="nearest-exact")[0, 0].long()
            assert torch.equal(found[length - 1, :length], expected)


@pytest.mark.parametrize("size", [(24, 40), (40, 24)])
def test_the_box_has_the_shape_of_the_picture_and_is_not_cut_off(size: tuple[int, int]) -> None:
    """Not transposed either, as where a published code crashes for images that are not square."""
    images = torch.zeros(200, 1, *size)
    mixed = blend(images, images + 1)
    for top, bottom, left, right in boxes(mixed.mask):
        assert abs((bottom - top) / size[0] - (right - left) / size[1]) <= 0.5 / size[0] + 0.5 / size[1]


def test_a_larger_lam_pastes_less_of_the_partner() -> None:
    images = torch.zeros(50, 1, 60, 60)
    for lam, side in ((0.0, 60), (0.19, 54), (0.75, 30), (1.0, 0)):
        heights = {bottom - top for top, bottom, _, _ in boxes(blend(images, images + 1, lam).mask)}
        assert heights == {side}


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_tau_has_its_distribution(alpha: float) -> None:
    images = torch.zeros(1, 1, 400, 2).expand(1500, -1, -1, -1)
    mixer = ResizeMix(alpha, scale=(0.25, 0.75))
    heights = (~blend(images, images, mixer=mixer).mask).any(3).sum((1, 2)).double().numpy()
    jitter = np.random.default_rng(0).uniform(-0.5, 0.5, len(heights))  # Undoes the rounding to whole pixels.
    drawn = ((heights + jitter) / 400 - 0.25) / 0.5
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_the_default_scale_is_the_published_one() -> None:
    images = torch.zeros(2000, 1, 100, 10)
    heights = (~blend(images, images).mask).any(3).sum((1, 2))
    assert (heights.min(), heights.max()) == (10, 80)


def test_boxes_lie_anywhere_with_the_same_chance_and_not_all_in_one_place() -> None:
    images = torch.zeros(3000, 1, 8, 10)
    corners = [(top, left) for top, _, left, _ in boxes(blend(images, images + 1, lam=0.75).mask)]
    counts = np.zeros((5, 6))  # Boxes are 4 x 5.
    np.add.at(counts, tuple(np.array(corners).T), 1)
    assert stats.chisquare(counts.ravel()).pvalue > 0.01


@pytest.mark.parametrize(
    "scale", [(-0.1, 0.5), (0.6, 0.5), (0.1, 1.1), (float("nan"), 0.5), 0.5, (0.1,), "ab"]
)
def test_scale(scale: Any) -> None:
    with pytest.raises(UserError, match="scale"):
        ResizeMix(scale=scale)
