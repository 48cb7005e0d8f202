"""ResizeMix: paste the whole partner, made smaller."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.errors import check_positive
from ssl_mix.mixers._common import (
    check_limits,
    given_lam,
    paste_box,
    rearrange,
    sample_uniform,
    segments,
)
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair
from ssl_mix.randomness import sample_beta


def nearest_source(start: Tensor, length: Tensor, side: int) -> Tensor:
    """Where the pixels of a line come from when all of it is squeezed into ``start <= p < start + length``.

    The source of the k-th of ``length`` pixels is the one in which its center falls, ``floor((k + 1/2) side /
    length)``, in whole numbers and so without rounding: ``mode="nearest-exact"`` of
    ``torch.nn.functional.interpolate``.

    Args:
        start: (N,) int64.
        length: (N,) int64.
        side: of the line, in pixels.

    Returns:
        (N, side) int64 in [0, side); of no meaning outside the segment.
    """
    offset = torch.arange(side, device=start.device) - start[:, None]
    source = (2 * offset + 1) * side // (2 * length.clamp(min=1)[:, None])
    return source.clamp(0, side - 1)


@dataclass(frozen=True)
class ResizeMix(Mixer):
    """Resize the whole partner to a box and paste it, each image with a box of its own.

    The box has ``tau`` times the sides of the image, with ``tau = low + (high - low) u`` and one ``u ~
    Beta(alpha, alpha)`` per sample, or ``tau = sqrt(1 - lam)`` where lam is given. It lies anywhere inside
    the image with the same chance. The returned lam is the share of pixels outside the box. Pixels are copied
    (nearest neighbor), so any dtype will do, uint8 included.

    Args:
        alpha: of the Beta distribution; 1 draws tau uniformly.
        scale: smallest and largest tau, in [0, 1].

    Raises:
        ValueError: alpha is not above 0, the scale is no range in [0, 1], or shapes differ.

    Source: Qin et al., "ResizeMix: Mixing Data with Preserved Object Information and True Labels" (2020).
    Differs from
    OpenMixup: the box is not cut off at the borders, a larger given lam means a smaller box, the mask is not
    transposed, a Beta draw is stretched to the scale instead of replaced where it falls outside, and every
    sample has a box of its own.

    Examples:
        >>> a, b = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> mixed, lam = ResizeMix().mix(a, b, lam=0.75)
        >>> mixed.mean(), lam
        (tensor(0.7500), tensor([0.7500]))
    """

    alpha: float = 1.0
    scale: tuple[float, float] = (0.1, 0.8)

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        check_limits("scale", self.scale, 0, 1)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Paste ``images_b``, made smaller, into ``images_a``."""
        images = pair.images_a
        tau = self._tau(images, lam, generator)
        place = sample_uniform((len(images), 2), generator, images.device)
        outside, source = [], []
        for axis, side in enumerate(images.shape[2:]):
            length = (side * tau).round().long()
            start = (place[:, axis] * (side - length + 1)).long()
            outside.append((~segments(start, length, side)).float())
            source.append(nearest_source(start, length, side))
        pixel = source[0][:, :, None] * images.shape[3] + source[1][:, None]
        return Mixed(*paste_box(images, rearrange(pair.images_b, pixel.flatten(1)), *outside, own_b=True))

    def _tau(self, images: Tensor, lam: Tensor | float | None, generator: torch.Generator | None) -> Tensor:
        if lam is not None:
            return (1 - given_lam(lam, images)).sqrt()
        low, high = self.scale
        return low + (high - low) * sample_beta(len(images), self.alpha, generator, images.device)
