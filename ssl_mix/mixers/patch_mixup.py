"""Mixup with a share per patch: one of the two counter-examples of LUMix."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.errors import check_count, check_positive
from ssl_mix.mixers._common import check_float, composite, given_lam, pixel_share
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair
from ssl_mix.randomness import sample_beta


def with_mean(mask: Tensor, lam: Tensor) -> Tensor:
    """A mask (N, 1, H, W) in [0, 1] brought to the mean ``lam`` (N,): values move towards 0, or towards 1, in
    proportion."""
    mean, lam = (share[:, None, None, None] for share in (pixel_share(mask), lam.clamp(0, 1)))
    tiny = torch.finfo(mask.dtype).tiny
    darker = mask * (lam / mean.clamp(min=tiny))
    lighter = 1 - (1 - mask) * ((1 - lam) / (1 - mean).clamp(min=tiny))
    return torch.where(lam < mean, darker, lighter)


@dataclass(frozen=True)
class PatchMixup(Mixer):
    """Blend each patch of a pair with a share of its own, drawn from Beta(alpha, alpha).

    A counter-example: it adds randomness to the image, and did not help. lam is the mean share of the pixels.
    Patches at the right and at the bottom are cut off where sides are no multiples of ``size``. Where lam is
    given, the drawn shares are moved towards 0 or 1 in proportion until this is their mean.

    Args:
        alpha: of the Beta distribution.
        size: side of a patch, in pixels.

    Raises:
        ValueError: alpha is not above 0, size is no whole number above 0, images are integers, or shapes
            differ.

    Source: "random lambda" in table 12 of Sun et al., "LUMix: Improving Mixup by Better Modelling Label
    Uncertainty" (2022).

    Examples:
        >>> a, b = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> mixed, lam = PatchMixup(size=4).mix(a, b, lam=0.75)
        >>> mixed.mean(), lam
        (tensor(0.7500), tensor([0.7500]))
    """

    alpha: float = 1.0
    size: int = 16

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        check_count("size", self.size)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Blend with one share per patch."""
        images = pair.images_a
        check_float(images, self)
        row, column = (torch.arange(side, device=images.device) // self.size for side in images.shape[2:])
        rows, columns = (-(-side // self.size) for side in images.shape[2:])
        shares = sample_beta(len(images) * rows * columns, self.alpha, generator, images.device)
        mask = shares.view(-1, 1, rows, columns).index_select(2, row).index_select(3, column)
        if lam is not None:
            mask = with_mean(mask, given_lam(lam, images))
        return Mixed(composite(images, pair.images_b, mask, own_b=pair.own_b), pixel_share(mask), mask)
