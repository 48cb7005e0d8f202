"""Mixup: blend two images."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssl_mix.errors import check_positive
from ssl_mix.mixers._common import check_float, composite, resolve_lam
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair


@dataclass(frozen=True)
class Mixup(Mixer):
    """Blend images, or float tensors (N, ...) of any other kind, each pair with a share of its own.

    ``lam * a + (1 - lam) * b`` with one ``lam ~ Beta(alpha, alpha)`` per sample.

    Args:
        alpha: of the Beta distribution; 1 draws lam uniformly, 0.2 mostly near 0 and 1.

    Raises:
        ValueError: alpha is not above 0, images are integers, or shapes differ.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization" (ICLR 2018). Differs from timm and
    torchvision: lam is drawn per sample, partners are a random permutation, and the inputs are left as they
    were.

    Examples:
        >>> a, b = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> mixed, lam = Mixup(alpha=1.0).mix(a, b, lam=0.75)
        >>> mixed.mean(), lam
        (tensor(0.7500), tensor([0.7500]))
    """

    axes: ClassVar[tuple[int, ...]] = ()
    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Blend with one share per sample."""
        check_float(pair.images_a, self)
        lam = resolve_lam(lam, self.alpha, pair.images_a, generator)
        mask = lam.view(-1, *[1] * (pair.images_a.ndim - 1))
        return Mixed(composite(pair.images_a, pair.images_b, mask, own_b=pair.own_b), lam, mask)
