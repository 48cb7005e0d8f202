"""Operations that send each gray level to another: posterize, solarize, equalize. They overwrite their
images."""

import torch
from torch import Tensor

from ssl_mix.augment.columns import column


def posterize_(images: Tensor, bits: Tensor) -> None:
    """Keep the highest bits of each value, as ``ImageOps.posterize``.

    Args:
        images: (N, C, H, W) uint8.
        bits: how many, 0 to 8, (N,) float.
    """
    lost = column((8 - bits).to(torch.uint8))
    images.bitwise_and_(torch.full_like(lost, 255) << lost)


def solarize_(images: Tensor, threshold: Tensor) -> None:
    """Invert values at or above a threshold, as ``ImageOps.solarize``.

    Args:
        images: (N, C, H, W) uint8.
        threshold: 0 to 256, (N,) float.
    """
    # The sign of an int16 difference instead of a comparison: those are not vectorised when they broadcast on
    # a CPU.
    below = (images.to(torch.int16) - column(threshold.ceil().to(torch.int16))).bitwise_right_shift_(15)
    images.bitwise_xor_(below.bitwise_not_().to(torch.uint8))


def equalize_(images: Tensor) -> None:
    """Flatten each channel's histogram, as ``ImageOps.equalize``.

    With ``step`` the number of pixels below the highest value divided by 255, value v becomes (step // 2 +
    pixels below v) // step. Channels with step 0 (one value, or fewer than 255 pixels below the highest) stay
    as they are.

    Args:
        images: (N, C, H, W) uint8.
    """
    flat = images.flatten(2)
    if flat.shape[2] < 256:
        return  # step is 0 everywhere
    values = flat.long()
    counts = torch.zeros(*flat.shape[:2], 256, dtype=torch.int32, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(flat, dtype=torch.int32))
    highest = counts.gather(2, flat.amax(dim=2, keepdim=True).long())
    step = (flat.shape[2] - highest) // 255
    below = counts.cumsum(2, dtype=torch.int32).sub_(counts).add_(step // 2)
    table = (below / step.clamp(min=1)).floor_().clamp_(max=255)
    unchanged = torch.arange(256.0, device=images.device)
    table = torch.where(step > 0, table, unchanged).to(torch.int16).to(torch.uint8)
    torch.gather(table, 2, values, out=flat)
