"""Operations that blend an image with another one: with a dull one for brightness, autocontrast, contrast,
color, sharpness; with a filtered one for those that CTAugment has beside them."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.augment.columns import column
from ssl_mix.augment.tables import equalize_

Make = Callable[[Tensor], Tensor]
# Added before values are truncated: a float32 result a hair below a whole number counts as that number.
_HAIR = 2.0**-12


def blend_(
    images: Tensor, factor: Tensor, counts: Sequence[int], others: Sequence[Make] | None = None
) -> None:
    """``dull + factor * (image - dull)``, cut to [0, 255] and truncated, as Pillow's ``ImageEnhance``.

    What is dull: black for brightness, the mean of the gray image for contrast, the gray image for color, the
    smoothed image for sharpness. Autocontrast, ``(image - low) * 255 / (high - low)`` in each channel, is
    taken as dull too, with factor 0. So all share the passes over the images. At most one gray level from
    Pillow, which rounds in other places.

    Args:
        images: (N, C, H, W) uint8 with 1 or 3 channels, sorted in the order of ``others``; overwritten.
        factor: 0 to 2, (N,) float32; 0 for autocontrast, 1 - lambda for one by degrees.
        counts: images of each of the others.
        others: what makes the images to blend with; default: the dull ones, in the order of ``pools.BLENDS``.
    """
    wide = images.float()
    dull = torch.empty_like(wide)
    for make, pictures, result in zip(
        others or _DULL, wide.split_with_sizes(counts), dull.split_with_sizes(counts), strict=True
    ):
        if len(pictures):
            result.copy_(make(pictures))
    # From float to uint8 by way of int16: on a CPU several times faster than at once.
    images.copy_(dull.lerp_(wide, column(factor)).add_(_HAIR).to(torch.int16).clamp_(0, 255))


def _black(images: Tensor) -> Tensor:
    """0-d."""
    return images.new_zeros(())


def _stretched(images: Tensor) -> Tensor:
    """Each channel over the full range; flat channels as they are."""
    low = images.amin(dim=(2, 3), keepdim=True)
    span = images.amax(dim=(2, 3), keepdim=True).sub_(low)
    flat = span == 0
    return (images - low.masked_fill_(flat, 0)).mul_(255 / span.masked_fill_(flat, 255))


def _mean(images: Tensor) -> Tensor:
    """Rounded mean of the gray image, (N, 1, 1, 1)."""
    return _gray(images).mean(dim=(1, 2, 3), keepdim=True).add_(0.5).floor_()


def _gray(images: Tensor) -> Tensor:
    """Luma by Pillow's weights of 16 bits, (N, 1, H, W): exact in float32. The image itself where it has one
    channel."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.chunk(3, dim=1)
    luma = (red * (19595 / 65536)).add_(green, alpha=38470 / 65536).add_(blue, alpha=7471 / 65536)
    return luma.add_(0.5).floor_()


def _smooth(images: Tensor) -> Tensor:
    """3 x 3 weights 1, center 5, over 13, rounded; the border as it is."""
    rows = (images[:, :, :-2] + images[:, :, 1:-1]).add_(images[:, :, 2:])
    total = (rows[..., :-2] + rows[..., 1:-1]).add_(rows[..., 2:]).add_(images[:, :, 1:-1, 1:-1], alpha=4)
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = total.mul_(1 / 13).add_(0.5).floor_()
    return smooth


def _blur(images: Tensor) -> Tensor:
    """Mean of the 16 pixels two steps away, 5 x 5 less its middle 3 x 3, rounded; two pixels of border as
    they are."""
    blurred = images.clone()
    if min(images.shape[2:]) > 4:
        wide, middle = (F.avg_pool2d(images, side, 1, divisor_override=1) for side in (5, 3))
        ring = wide - middle[:, :, 1:-1, 1:-1]
        blurred[:, :, 2:-2, 2:-2] = ring.mul_(1 / 16).add_(0.5).floor_()
    return blurred


def _equalized(images: Tensor) -> Tensor:
    """Each channel with a flat histogram."""
    whole = images.to(torch.uint8)
    equalize_(whole)
    return whole


def _inverted(images: Tensor) -> Tensor:
    """255 - value."""
    return 255 - images


_DULL: Sequence[Make] = (_black, _stretched, _mean, _gray, _smooth)
FILTERED: Sequence[Make] = (_smooth, _blur, _equalized, _inverted)  # in the order of ``pools.FILTERS``
