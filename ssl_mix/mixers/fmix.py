"""FMix: cut and paste along the level lines of smooth random noise."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_not_negative, check_number, check_positive
from ssl_mix.mixers._common import check_float, composite, highest, pixel_share, resolve_lam
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair


def low_frequencies(noise: Tensor, decay_power: float) -> Tensor:
    """White noise (N, H, W) whose amplitude at the frequency f, in cycles per pixel, is multiplied by ``f **
    -decay_power``.

    f is the length of the two-dimensional frequency, at least that of one cycle per longer side.
    """
    height, width = noise.shape[1:]
    rows = torch.fft.fftfreq(height, device=noise.device, dtype=noise.dtype)
    columns = torch.fft.rfftfreq(width, device=noise.device, dtype=noise.dtype)
    frequency = torch.hypot(rows[:, None], columns).clamp(min=1 / max(height, width))
    # Powers of f relative to its smallest value, which only scales the result, stay in the range of float32.
    weight = (frequency * max(height, width)) ** -decay_power
    smooth: Tensor = torch.fft.irfft2(torch.fft.rfft2(noise).mul_(weight), s=(height, width))
    return smooth


def soft_highest(values: Tensor, count: Tensor, soft: Tensor) -> Tensor:
    """:func:`highest` with a soft border: 1 falls to 0 linearly over the ``2 soft`` ranks around ``count``;
    float32 with mean count / P.

    Args:
        values: (N, P) float32.
        count: (N,) in [0, P].
        soft: (N,) float32, half the ranks of the border; at most ``count`` and ``P - count``.
    """
    rank = values.argsort(1, descending=True).argsort(1)
    distance = (count[:, None] - rank - 0.5) / (2 * soft[:, None].clamp(min=0.5))
    return (0.5 + distance).clamp(0, 1)


@dataclass(frozen=True)
class FMix(Mixer):
    """Keep the pixels where low-frequency noise is highest, paste the partner into the others; each image has
    its own noise.

    The noise is white noise with amplitudes multiplied by ``f ** -decay_power``. The ``round(lam H W)``
    highest pixels are kept, with one ``lam ~ Beta(alpha, alpha)`` per sample; the returned lam is that count
    over ``H W``. With a hard border any dtype will do, uint8 included.

    Args:
        alpha: of the Beta distribution.
        decay_power: how smooth the border is; 0 chooses pixels at random.
        max_soft: share of the pixels, on either side of the border, over which one image fades into the
            other; less where lam or 1 - lam is less. In [0, 0.5]; 0 is a hard border.

    Raises:
        ValueError: alpha is not above 0, decay_power is negative, max_soft lies outside [0, 0.5], shapes
            differ, or images are integers with a soft border.

    Source: Harris et al., "FMix: Enhancing Mixed Sample Data Augmentation" (2020). Differs from the published
    code, which takes the wrong axis for real and imaginary parts and so has a single cosine along the rows:
    this noise has every frequency and no preferred direction; one mask per sample; the share is rounded to
    the nearest pixel, not up or down at random.

    Examples:
        >>> a, b = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> mixed, lam = FMix().mix(a, b, lam=0.75)
        >>> mixed.mean(), lam
        (tensor(0.7500), tensor([0.7500]))
    """

    alpha: float = 1.0
    decay_power: float = 3.0
    max_soft: float = 0.0

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        check_not_negative("decay_power", self.decay_power)
        check_number("max_soft", self.max_soft)
        if not 0 <= self.max_soft <= 0.5:
            raise UserError(f"max_soft must lie in [0, 0.5], got {self.max_soft}")

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Keep the highest pixels of ``images_a``."""
        images = pair.images_a
        if self.max_soft > 0:
            check_float(images, self)
        lam = resolve_lam(lam, self.alpha, images, generator)
        source = generator.device if generator is not None else images.device
        shape = (len(images), *images.shape[2:])
        noise = torch.randn(shape, generator=generator, device=source, dtype=torch.float32)
        mask = self._mask(low_frequencies(noise.to(images.device, non_blocking=True), self.decay_power), lam)
        return Mixed(composite(images, pair.images_b, mask, own_b=pair.own_b), pixel_share(mask), mask)

    def _mask(self, noise: Tensor, lam: Tensor) -> Tensor:
        """(N, 1, H, W) with the share ``lam`` of the highest values of ``noise`` (N, H, W)."""
        values = noise.flatten(1)
        pixels = values.shape[1]
        count = (lam * pixels).round().int()
        if self.max_soft == 0:
            return highest(values, count).view_as(noise)[:, None]
        soft = torch.minimum(count, pixels - count).clamp(max=self.max_soft * pixels).float()
        return soft_highest(values, count, soft).view_as(noise)[:, None]
