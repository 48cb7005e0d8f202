"""What every mixer shares: drawing lam, checking pictures, pairing a batch with a permutation of itself."""

from typing import Protocol

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.types import MixedTarget


class Mixer(Protocol):
    """What the rest of the package asks of a mixer."""

    def __call__(
        self, images: Tensor, labels: Tensor, *, generator: torch.Generator | None = None
    ) -> tuple[Tensor, MixedTarget]:
        """Mix a batch with a random permutation of itself."""
        ...

    def mix(
        self,
        images_a: Tensor,
        images_b: Tensor,
        *,
        lam: Tensor | float | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Mix two explicit batches; returns the pictures and the true share of ``images_a``, (N,) float32."""
        ...


def sample_beta(count: int, alpha: float, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """``count`` draws from Beta(alpha, alpha), float32, on ``device``.

    Drawn in float64 as a ratio of two gammas, so that a small alpha does not underflow to 0 / 0. The draw is made where the
    generator lives; a CPU generator serves every device without a host synchronisation.
    """
    source = generator.device if generator is not None else device
    shape = torch.full((2, count), alpha, dtype=torch.float64, device=source)
    gamma_a, gamma_b = torch._standard_gamma(shape, generator=generator).unbind(0)
    return (gamma_a / (gamma_a + gamma_b)).float().to(device, non_blocking=True)


def sample_uniform(shape: tuple[int, ...], generator: torch.Generator | None, device: torch.device) -> Tensor:
    """Draws from U[0, 1), float32, on ``device``, made where the generator lives."""
    source = generator.device if generator is not None else device
    return torch.rand(shape, generator=generator, device=source).to(device, non_blocking=True)


def sample_permutation(count: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    """A random permutation of ``range(count)``, int64, on ``device``, made where the generator lives."""
    source = generator.device if generator is not None else device
    return torch.randperm(count, generator=generator, device=source).to(device, non_blocking=True)


def resolve_lam(
    lam: Tensor | float | None, alpha: float, images: Tensor, generator: torch.Generator | None
) -> Tensor:
    """The given lam as (N,) float32 on the device of ``images``, or one draw per sample from Beta(alpha, alpha)."""
    count = len(images)
    if lam is None:
        return sample_beta(count, alpha, generator, images.device)
    if not isinstance(lam, Tensor):
        if not 0 <= lam <= 1:
            raise UserError(f"lam must lie in [0, 1], got {lam}")
        return torch.full((count,), lam, device=images.device)
    if lam.shape != (count,):
        raise UserError(f"lam must have shape ({count},), one value per picture, got {tuple(lam.shape)}")
    return lam.to(images.device, torch.float32, non_blocking=True)


def check_pair(images_a: Tensor, images_b: Tensor) -> None:
    """Raise unless both are (N, C, H, W) of one shape and dtype."""
    if images_a.ndim != 4 or images_a.shape != images_b.shape or images_a.dtype != images_b.dtype:
        raise UserError(
            "both image batches must be (N, C, H, W) with the same shape and dtype, "
            f"got {images_a.dtype} {tuple(images_a.shape)} and {images_b.dtype} {tuple(images_b.shape)}"
        )


def mix_with_itself(
    mixer: Mixer, images: Tensor, labels: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, MixedTarget]:
    """Mix ``images`` (N, C, H, W) with a random permutation of them; ``labels`` (N,) follow."""
    if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
        raise UserError(
            f"labels must be int64 ({len(images)},), one class per picture, got {labels.dtype} {tuple(labels.shape)}"
        )
    partner = sample_permutation(len(images), generator, images.device)
    mixed, lam = mixer.mix(images, images.index_select(0, partner), generator=generator)
    return mixed, MixedTarget(labels, labels.index_select(0, partner.to(labels.device)), lam)
