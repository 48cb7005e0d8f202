"""Cutout: hide a square of each image."""

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.augment.checks import check_images
from ssl_mix.augment.pools import Variant
from ssl_mix.errors import check_choice


class _Square(NamedTuple):
    """Smallest and largest side as a share of the image's, or in pixels, its color, its value in images with
    one channel, and the chance of an image to have one; or smallest and largest ``area`` as a share."""

    low: float
    high: float
    color: tuple[int, int, int]
    gray: int
    pixels: bool = False
    chance: float = 1.0
    area: bool = False


SQUARES: dict[Variant, _Square] = {
    "torchssl": _Square(0.0, 0.5, (125, 123, 114), 124),
    "kekmodel": _Square(0.5, 0.5, (127, 127, 127), 127),
    "self-tuning": _Square(16, 16, (127, 127, 127), 127, pixels=True),
    "google": _Square(0.5, 0.5, (0, 0, 0), 0),
    "rand-m9": _Square(0.02, 1 / 3, (124, 116, 104), 118, chance=0.25, area=True),
    "rand-m7": _Square(0.0, 0.0, (124, 116, 104), 118),
    "rand-m6": _Square(0.0, 0.0, (124, 116, 104), 118),
}


def cutout(images: Tensor, *, variant: Variant = "torchssl", generator: torch.Generator) -> Tensor:
    """Paint a square at a place of its own in each image, clipped at the borders.

    The center is uniform over the image. The side is a share of the image's shorter side: "torchssl" U(0,
    0.5), "kekmodel" and "google" 0.5 (16 of 32 pixels), "self-tuning" 16 pixels. "rand-m9" is
    random erasing: one image in four has a square of an area of U(0.02, 1/3); "rand-m7" and "rand-m6" hide
    nothing. A pixel is hidden where its middle lies in the square.

    Args:
        images: (N, C, H, W) uint8 with 1 or 3 channels; left as they are.
        variant: whose side and color.
        generator: on the CPU.

    Raises:
        ValueError: the variant is unknown, or images are not such.

    Source: DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (2017).
    Differs from the code that the variants are named after: the part of a square beyond the left or upper
    border is cut off, not pushed inside; random erasing (Zhong et al., AAAI 2020) is of squares in the mean
    color, where timm's are rectangles of noise.
    """
    check_choice("variant", variant, SQUARES)
    check_images(images, "cutout", channels=(1, 3))
    square, (count, channels, height, width) = SQUARES[variant], images.shape
    share, x, y = torch.rand(3, count, generator=generator).unbind(0)
    unit = 1 if square.pixels else min(height, width)
    share = share / square.chance  # above 1 for images that have none
    side = square.low + (square.high - square.low) * share
    half = unit * (side.sqrt() if square.area else side) / 2 * (share < 1)
    rows = _near(y, half, height).mul_(255).to(images.device, non_blocking=True)
    columns = _near(x, half, width).to(images.device, non_blocking=True)
    hidden = (rows[:, :, None] * columns[:, None, :])[:, None]
    color = square.color if channels == 3 else (square.gray,)
    paint = torch.tensor(color, dtype=torch.uint8)[:, None, None].to(images.device, non_blocking=True)
    # Bit by bit: on a CPU torch.where and masked_fill with a mask that broadcasts are ten times slower.
    return (images ^ paint).bitwise_and_(hidden).bitwise_xor_(images)


def hide_(images: Tensor, share: Tensor, center: Tensor) -> None:
    """Cutout as an operation of CTAugment: a gray square, clipped at the borders.

    Args:
        images: (N, C, H, W) uint8; overwritten.
        share: side of the square as a share of the image's shorter side, (N,) float32.
        center: as shares of height and width, (2, N).
    """
    height, width = images.shape[2:]
    half = min(height, width) * share / 2
    hidden = _near(center[0], half, height)[:, :, None] * _near(center[1], half, width)[:, None, :]
    images.masked_fill_(hidden[:, None] > 0, 127)


def _near(center: Tensor, half: Tensor, side: int) -> Tensor:
    """(N, side) uint8: 1 for pixels whose middle is within ``half`` pixels of ``center``, which is a share of
    the side."""
    middles = torch.arange(side, device=center.device) + 0.5
    return ((middles - side * center[:, None]).abs() < half[:, None]).to(torch.uint8)
