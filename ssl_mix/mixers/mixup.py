"""Mixup: blend two pictures."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_positive
from ssl_mix.mixers._common import check_pair, mix_with_itself, resolve_lam
from ssl_mix.types import MixedTarget


@dataclass(frozen=True)
class Mixup:
    """Blend pictures, each pair with a share of its own.

    ``lam * a + (1 - lam) * b`` with one ``lam ~ Beta(alpha, alpha)`` per sample.

    Args:
        alpha: of the Beta distribution; 1 draws lam uniformly, 0.2 mostly near 0 and 1.

    Raises:
        ValueError: alpha is not above 0, pictures are integers, or shapes differ.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization" (ICLR 2018). Differs from timm and torchvision: lam is
    drawn per sample, partners are a random permutation, and the inputs are left as they were.
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
        """Blend two batches (N, C, H, W).

        Args:
            images_a: float pictures.
            images_b: their partners.
            lam: share of ``images_a``, (N,) or one number; drawn where None.
            generator: source of the draws; torch's own where None.

        Returns:
            The blend in the dtype of the pictures, and lam (N,) float32.
        """
        check_pair(images_a, images_b)
        if not images_a.is_floating_point():
            raise UserError(
                f"Mixup blends float pictures, got {images_a.dtype}: convert with images.float() / 255 first"
            )
        lam = resolve_lam(lam, self.alpha, images_a, generator)
        precise = torch.promote_types(images_a.dtype, torch.float32)
        weight = lam.to(precise)[:, None, None, None]
        return torch.lerp(images_b.to(precise), images_a.to(precise), weight).to(images_a.dtype), lam
