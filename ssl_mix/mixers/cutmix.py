"""CutMix: paste a box of one image into another."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ssl_mix.errors import check_positive
from ssl_mix.mixers._common import composite, paste_box, pixel_share, resolve_lam, sample_uniform, segments
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair


def outside_box(centers: Tensor, lam: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Boxes of area share ``1 - lam``, one per sample, clipped at the borders.

    A side of ``l`` pixels around pixel c covers ``c - l // 2 <= p < c - l // 2 + l``.

    Args:
        centers: (N, 2) in [0, 1), row and column as a share of the side.
        lam: (N,) float32 in [0, 1]; the box sides are ``int(side * sqrt(1 - lam))``.
        height: of the images, in pixels.
        width: of the images, in pixels.

    Returns:
        1 for the rows (N, height) and the columns (N, width) beyond the boxes, 0 for those within, float32.
    """
    # Both axes at once, as far as the longer, and a tensor of the sides that needs no copy from the host.
    square = height == width
    sides = height if square else torch.linspace(height, width, 2, device=lam.device)
    length = ((1 - lam).sqrt_().unsqueeze(1) * sides).floor_()
    # |2 (p - c) + 1/2| < l says the same for whole p, c and l.
    pixel = torch.arange(0.5, 2 * max(height, width), 2, device=lam.device)
    center = (centers * sides).floor_()
    distance = torch.sub(pixel, center.unsqueeze(2), alpha=2).abs_()
    rows, columns = distance.ge_(length.unsqueeze(2)).unbind(1)
    return (rows, columns) if square else (rows[:, :height], columns[:, :width])


def outside_segment(center: Tensor, lam: Tensor, side: int) -> Tensor:
    """Places of a line of ``side`` beyond a stretch of ``int(side * (1 - lam))`` around ``center`` (N,), a
    share of the side, clipped at its ends: (N, side) bool."""
    length = ((1 - lam) * side).floor()
    return ~segments((center * side).floor() - (length / 2).floor(), length, side)


@dataclass(frozen=True)
class CutMix(Mixer):
    """Paste a box of the partner, each image with a box of its own; of signals (N, C, T) a stretch of time.

    The box has the area share ``1 - lam``, with one ``lam ~ Beta(alpha, alpha)`` per sample. Its center is
    uniform over the pixels and it is clipped at the borders, so the returned lam, the share of pixels that
    still show ``a``, is computed after clipping. Works on any dtype, uint8 included.

    Args:
        alpha: of the Beta distribution; 1 draws the area uniformly.

    Raises:
        ValueError: alpha is not above 0, or shapes differ.

    Source: Yun et al., "CutMix" (ICCV 2019). Differs from the published code, timm's batch mode and
    torchvision: one box and one lam per sample, partners are a random permutation, and the inputs are left as
    they were.

    Examples:
        >>> a, b = torch.ones(4, 3, 8, 8), torch.zeros(4, 3, 8, 8)
        >>> mixed, lam = CutMix(alpha=1.0).mix(a, b)
        >>> mixed.mean(dim=(1, 2, 3)).allclose(lam)  # lam is what is left of the first image
        True
    """

    axes: ClassVar[tuple[int, ...]] = (4, 3)
    alpha: float = 1.0

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Paste boxes of ``images_b`` into ``images_a``."""
        images = pair.images_a
        lam = resolve_lam(lam, self.alpha, images, generator)
        if images.ndim == 3:
            center = sample_uniform((len(images),), generator, images.device)
            outside = outside_segment(center, lam, images.shape[2])
            mask = outside[:, None]
            mixed = composite(images, pair.images_b, mask, own_b=pair.own_b)
            return Mixed(mixed, pixel_share(mask), mask)
        centers = sample_uniform((len(images), 2), generator, images.device)
        box = outside_box(centers, lam, *images.shape[2:])
        return Mixed(*paste_box(images, pair.images_b, *box, own_b=pair.own_b))
