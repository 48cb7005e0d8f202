"""Quarter turns, which a network can be asked to tell apart."""

import torch
from torch import Tensor

from ssl_mix.errors import UserError


def check_square(name: str, shape: tuple[int, ...]) -> None:
    """Raise unless ``shape`` is one (C, H, W) of images that quarter turns keep."""
    if len(shape) != 3 or shape[1] != shape[2]:
        raise UserError(f"{name} rotates images by quarter turns: they must be square, got {shape}")


def random_turns(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each image (N, C, H, H) rotated by 0 to 3 quarter turns, and by how many (N,), drawn on the CPU."""
    turns = torch.randint(4, (len(images),), generator=generator)
    turns = turns.to(images.device, non_blocking=True)
    turned = torch.stack([torch.rot90(images, quarter, (2, 3)) for quarter in range(4)], dim=1)
    return turned[torch.arange(len(images), device=images.device), turns], turns


def all_turns(images: Tensor) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, H) as they are, then all rotated by 1, 2 and 3 quarter turns: (4 N, C, H, H), and the
    turns (4 N,)."""
    turned = torch.cat([torch.rot90(images, quarter, (2, 3)) for quarter in range(4)])
    return turned, torch.arange(4, device=images.device).repeat_interleave(len(images))
