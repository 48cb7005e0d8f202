"""CutMix: paste a box of one picture into another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.errors import check_positive
from ssl_mix.mixers._common import check_pair, mix_with_itself, resolve_lam, sample_uniform
from ssl_mix.types import MixedTarget


def box_masks(centres: Tensor, lam: Tensor, height: int, width: int) -> Tensor:
    """Boxes of area share ``1 - lam``, one per sample, clipped at the borders.

    Args:
        centres: (N, 2) in [0, 1), row and column as a share of the side.
        lam: (N,) float32; the box sides are ``int(side * sqrt(1 - lam))``.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.

    Returns:
        (N, 1, height, width) bool, True inside the box.
    """
    scale = (1 - lam).clamp(0, 1).sqrt()
    inside = []
    for axis, side in enumerate((height, width)):
        length = (side * scale).long()
        start = (centres[:, axis] * side).long() - length // 2
        pixel = torch.arange(side, device=lam.device)
        inside.append((pixel >= start[:, None]) & (pixel < (start + length)[:, None]))
    return (inside[0][:, :, None] & inside[1][:, None, :])[:, None]


@dataclass(frozen=True)
class CutMix:
    """Paste a box of the partner, each picture with a box of its own.

    The box has the area share ``1 - lam``, with one ``lam ~ Beta(alpha, alpha)`` per sample. Its centre is uniform over the
    pixels and it is clipped at the borders, so the returned lam, the share of pixels that still show ``a``, is computed after
    clipping. Works on any dtype, uint8 included.

    Args:
        alpha: of the Beta distribution; 1 draws the area uniformly.

    Raises:
        ValueError: alpha is not above 0, or shapes differ.

    Source: Yun et al., "CutMix" (ICCV 2019). Differs from the published code, timm's batch mode and torchvision: one box and
    one lam per sample, partners are a random permutation, and the inputs are left as they were.
    """

    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)

    def __call__(
        self, images: Tensor, labels: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, MixedTarget]:
        """Mix a batch (N, C, H, W) with a random permutation of itself; labels (N,) int64."""
        return mix_with_itself(self, images, labels, generator)

    def mix(
        self,
        images_a: Tensor,
        images_b: Tensor,
        *,
        lam: Tensor | float | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Paste boxes of ``images_b`` into ``images_a``, both (N, C, H, W).

        Args:
            images_a: pictures of any dtype.
            images_b: their partners.
            lam: share of ``images_a`` asked for, (N,) or one number; drawn where None.
            generator: source of the draws; torch's own where None.

        Returns:
            The pictures, and the share of ``images_a`` after clipping, (N,) float32.
        """
        check_pair(images_a, images_b)
        lam = resolve_lam(lam, self.alpha, images_a, generator)
        centres = sample_uniform((len(images_a), 2), generator, images_a.device)
        mask = box_masks(centres, lam, *images_a.shape[2:])
        share = 1 - mask.flatten(1).float().mean(1)
        return torch.where(mask, images_b, images_a), share
