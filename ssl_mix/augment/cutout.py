"""Cutout: hide a square of each picture."""

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.augment.randaugment import Variant, check_variant


class _Square(NamedTuple):
    """Smallest and largest side as a share of the picture's, and the colour."""

    low: float
    high: float
    colour: tuple[int, int, int]


SQUARES: dict[Variant, _Square] = {
    "torchssl": _Square(0.0, 0.5, (125, 123, 114)),
    "kekmodel": _Square(0.5, 0.5, (127, 127, 127)),
    "google": _Square(0.5, 0.5, (0, 0, 0)),
}


def cutout(images: Tensor, *, variant: Variant = "torchssl", generator: torch.Generator) -> Tensor:
    """Paint a square at a place of its own in each picture, clipped at the borders.

    The centre is uniform over the picture. The side is a share of the picture's: "torchssl" U(0, 0.5), "kekmodel" and "google" 0.5
    (16 of 32 pixels); the colours are theirs, their mean in pictures with one channel.

    Args:
        images: (N, C, H, W) uint8; left as they are.
        variant: whose side and colour.
        generator: on the CPU.

    Raises:
        ValueError: the variant is unknown.

    Source: DeVries & Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (2017).
    """
    check_variant(variant)
    square, (count, channels, height, width) = SQUARES[variant], images.shape
    side, x, y = torch.rand(3, count, generator=generator).unbind(0)
    side = square.low + (square.high - square.low) * side
    hidden = _interval(y, side, height)[:, :, None] & _interval(x, side, width)[:, None, :]
    colour = square.colour if channels == 3 else (round(sum(square.colour) / 3),)
    paint = torch.tensor(colour, dtype=torch.uint8)[:, None, None].to(images.device, non_blocking=True)
    return torch.where(hidden[:, None].to(images.device, non_blocking=True), paint, images)


def _interval(centre: Tensor, length: Tensor, side: int) -> Tensor:
    """(N, side) bool: pixels whose middle is within half of ``length`` of ``centre``, both as shares of the side."""
    middles = (torch.arange(side) + 0.5) / side
    return (middles - centre[:, None]).abs() < length[:, None] / 2
