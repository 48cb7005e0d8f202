"""Operations that move pixels: rotate, shear, translate, by one gather of nearest neighbors."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.augment.pools import GEOMETRY, OPERATIONS

_ONE = 1 << 16


def warp_matrices(operation: Tensor, magnitude: Tensor, height: int, width: int) -> Tensor:
    """Where each output pixel comes from, as ``Image.rotate`` and ``Image.transform`` compute it.

    Output pixel (x, y) shows input pixel ``((a x + b y + c) >> 16, (d x + e y + f) >> 16)``, all whole
    numbers.

    Args:
        operation: position in ``pools.OPERATIONS``, any shape; those that move no pixels give the identity.
        magnitude: degrees counter-clockwise about the center, slopes, or pixels; same shape, float64.
        height: of the images, below 2^15.
        width: likewise.

    Returns:
        (6, *shape) int32: a, b, c, d, e, f.
    """
    rotate, shear_x, shear_y, move_x, move_y = (
        magnitude.where(operation == OPERATIONS.index(name), 0.0) for name in GEOMETRY
    )
    cosine, sine = rotate.deg2rad().cos(), rotate.deg2rad().sin()
    x, y = width / 2, height / 2
    b, d = shear_x - sine, shear_y + sine
    # Positions are taken at the middle of a pixel, hence the halves.
    c = x - cosine * x + sine * y + move_x + (cosine + b) / 2
    f = y - sine * x - cosine * y + move_y + (cosine + d) / 2
    return torch.stack((cosine, b, c, d, cosine, f)).mul_(_ONE).add_(0.5).floor_().int()


def warp_(images: Tensor, matrices: Tensor) -> None:
    """Move pixels; black enters from outside.

    Args:
        images: (N, C, H, W) uint8; overwritten.
        matrices: (6, N) from ``warp_matrices``.
    """
    height, width = images.shape[2:]
    a, b, c, d, e, f = matrices[:, :, None, None].unbind(0)
    x = torch.arange(width, dtype=torch.int32, device=images.device)
    y = torch.arange(height, dtype=torch.int32, device=images.device)[:, None]
    # In the image with a black frame of one pixel, positions outside are clamped to the frame.
    column = torch.add(a * x, b * y + c + _ONE).bitwise_right_shift_(16).clamp_(0, width + 1)
    row = torch.add(d * x, e * y + f + _ONE).bitwise_right_shift_(16).clamp_(0, height + 1)
    pixels = column.add_(row, alpha=width + 2).long().flatten(1)[:, None]
    framed = F.pad(images, (1, 1, 1, 1)).flatten(2)
    torch.gather(framed, 2, pixels.expand(-1, framed.shape[1], -1), out=images.flatten(2))
