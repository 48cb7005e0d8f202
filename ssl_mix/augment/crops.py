"""Crops at fixed places: of the center, and the ten of published evaluations."""

from collections.abc import Iterator
from typing import Literal

from torch import Tensor

Crops = Literal["center", "ten"]


def center_crop(images: Tensor, size: int) -> Tensor:
    """The central (size, size) of images (N, C, H, W), as a view; where it cannot be central it is where
    torchvision puts it."""
    top, left = (round((side - size) / 2) for side in images.shape[2:])
    return images[:, :, top : top + size, left : left + size]


def ten_crops(images: Tensor, size: int, *, mirrored: bool = True) -> Iterator[Tensor]:
    """The four corners of (size, size) and the center, then those of the mirror image if ``mirrored``.

    Args:
        images: (N, C, H, W).
        size: side of the crops, at most H and W.
        mirrored: ten crops; otherwise five.

    Yields:
        (N, C, size, size).

    Source: Krizhevsky et al., "ImageNet Classification with Deep Convolutional Neural Networks" (2012), as in
    torchvision's ``TenCrop``. Differs from the published codes of fine-grained transfer: their corners at the
    bottom and the right lie one pixel further in.
    """
    height, width = images.shape[2:]
    corners = [(top, left) for top in (0, height - size) for left in (0, width - size)]
    for pictures in (images, images.flip(3)) if mirrored else (images,):
        for top, left in corners:
            yield pictures[:, :, top : top + size, left : left + size]
        yield center_crop(pictures, size)
