"""Weak augmentation: a horizontal flip and a random crop or small shift, as one gather over the batch."""

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.augment.checks import check_images
from ssl_mix.errors import UserError


class Shifts(NamedTuple):
    """How each image is flipped and moved, on the CPU.

    Attributes:
        flip: whether it is mirrored, (N,) bool.
        rows: rows it moves up, (N,) int64 in [-padding, padding + rows that the crop leaves out].
        columns: columns it moves to the left, likewise.
    """

    flip: Tensor
    rows: Tensor
    columns: Tensor


def sample_shifts(
    count: int, *, flip: bool, padding: int, generator: torch.Generator, room: tuple[int, int] = (0, 0)
) -> Shifts:
    """Mirror every other image at random if ``flip``; place each crop anywhere in the padded image.

    Args:
        count: of images.
        flip: whether to mirror.
        padding: pixels added on each side.
        generator: on the CPU.
        room: rows and columns that the crop is smaller than the image.
    """
    mirrored = torch.rand(count, generator=generator) < (0.5 if flip else 0.0)
    rows, columns = (
        torch.randint(-padding, free + padding + 1, (count,), generator=generator) for free in room
    )
    return Shifts(mirrored, rows, columns)


def apply_shifts(images: Tensor, shifts: Shifts, size: tuple[int, int] | None = None) -> Tensor:
    """Mirror and move images (N, C, H, W), cut to ``size``; what enters at a border is the image reflected
    there.

    Equal to padding by reflection, cropping at an offset, and mirroring, without making the padded images.
    """
    height, width = images.shape[2:]
    tall, wide = size or (height, width)
    rows = _reflect(torch.arange(tall) + shifts.rows[:, None], height)
    columns = _reflect(torch.arange(wide) + shifts.columns[:, None], width)
    columns = torch.where(shifts.flip[:, None], columns.flip(1), columns)
    first = rows.mul_(width).int().to(images.device, non_blocking=True)[:, :, None]
    within = columns.int().to(images.device, non_blocking=True)[:, None, :]
    pixels = (first + within).long().flatten(1)[:, None]  # int32 first: less memory to go through
    flat = images.flatten(2)
    return flat.gather(2, pixels.expand(-1, flat.shape[1], -1)).view(*images.shape[:2], tall, wide)


def _reflect(positions: Tensor, side: int) -> Tensor:
    """Positions beyond [0, side - 1] mirrored at the border pixel."""
    return (side - 1) - ((side - 1) - positions.abs()).abs()


def flip_and_crop(
    images: Tensor,
    *,
    flip: bool = True,
    padding: int = 4,
    size: int | None = None,
    generator: torch.Generator,
) -> Tensor:
    """Random mirror image and random crop after reflection padding, drawn for each image.

    Args:
        images: (N, C, H, W) of any dtype; left as they are.
        flip: mirror with probability 1/2; off for digits and other images that mean something else in the
            mirror.
        padding: pixels of the reflected image on each side that a crop may take in, below both sides.
        size: side of the crops, at most both sides; default: those of the images.
        generator: on the CPU.

    Raises:
        ValueError: the padding does not fit the images.
    """
    check_images(images, "flip_and_crop", any_dtype=True)
    if not 0 <= padding < min(images.shape[2:]):
        raise UserError(
            f"padding must lie in [0, {min(images.shape[2:]) - 1}] for images of {tuple(images.shape[2:])}, "
            f"got {padding}: take larger images (`image_size`) or less padding"
        )
    height, width = images.shape[2:]
    tall, wide = (height, width) if size is None else (size, size)
    room = height - tall, width - wide
    shifts = sample_shifts(len(images), flip=flip, padding=padding, generator=generator, room=room)
    return apply_shifts(images, shifts, (tall, wide))
