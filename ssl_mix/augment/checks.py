"""What augmentation takes."""

import torch
from torch import Tensor

from ssl_mix.errors import UserError


def check_images(
    images: Tensor, what: str, *, channels: tuple[int, ...] = (), any_dtype: bool = False
) -> None:
    """Raise unless images are (N, C, H, W) with pixels, uint8 or ``any_dtype``, of so many channels."""
    right = (
        isinstance(images, Tensor)
        and images.ndim == 4
        and min(images.shape[1:]) > 0
        and (any_dtype or images.dtype == torch.uint8)
        and (not channels or images.shape[1] in channels)
    )
    if right:
        return
    kind = "" if any_dtype else "uint8 "
    count = f" with {' or '.join(map(str, channels))} channels" if channels else ""
    got = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
    raise UserError(f"{what} takes {kind}images (N, C, H, W){count}, got {got}")
