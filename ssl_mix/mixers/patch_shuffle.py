"""CutMix with shuffled patches: one of the two counter-examples of LUMix."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_count, check_positive
from ssl_mix.mixers._common import rearrange, sample_uniform
from ssl_mix.mixers.cutmix import CutMix
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair


def shuffled_pixels(order: Tensor, size: int, height: int, width: int) -> Tensor:
    """Where each pixel comes from when patch ``order[n, k]`` is put at the place of patch k, patches counted
    row by row.

    Args:
        order: (N, P) int64, a permutation per sample, of the ``P = (height // size) (width // size)`` whole
            patches.
        size: side of a patch, in pixels.
        height: of the images, in pixels.
        width: of the images, in pixels.

    Returns:
        (N, height * width) int64, for :func:`rearrange`. What lies beyond the last whole patch stays where it
        is.
    """
    rows, columns = height // size, width // size
    row = torch.arange(height, device=order.device)[:, None]
    column = torch.arange(width, device=order.device)
    whole = (row < rows * size) & (column < columns * size)
    patch = (row // size).clamp(max=rows - 1) * columns + (column // size).clamp(max=columns - 1)
    corner = order // columns * (size * width) + order % columns * size
    moved = corner.index_select(1, patch.flatten()) + (row % size * width + column % size).flatten()
    return torch.where(whole.flatten(), moved, torch.arange(height * width, device=order.device))


@dataclass(frozen=True)
class PatchShuffle(Mixer):
    """Paste a box as CutMix does, and then put the patches of the mixed image in a random order, another for
    each image.

    A counter-example: it adds randomness to the image, and did not help. Labels and lam are those of CutMix;
    the mask is shuffled with the image. Sides need not be multiples of ``size``: what is left beyond the last
    whole patch stays.

    Args:
        alpha: of the Beta distribution of CutMix.
        size: side of a patch, in pixels.

    Raises:
        ValueError: alpha is not above 0, size is no whole number above 0, images are smaller than a patch, or
            shapes differ.

    Source: "random shuffling" in table 12 of Sun et al., "LUMix: Improving Mixup by Better Modelling Label
    Uncertainty" (2022).

    Examples:
        >>> a, b = torch.ones(4, 3, 8, 8), torch.zeros(4, 3, 8, 8)
        >>> mixed, lam = PatchShuffle(size=2).mix(a, b)
        >>> mixed.mean(dim=(1, 2, 3)).allclose(lam)  # pixels move, none is lost
        True
    """

    alpha: float = 1.0
    size: int = 16

    def __post_init__(self) -> None:
        check_positive("alpha", self.alpha)
        check_count("size", self.size)

    def prepare(self, net: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Check that images hold a patch."""
        del net
        self._check_size(*image_shape[1:])

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Mix by CutMix, then shuffle images and masks alike."""
        height, width = pair.images_a.shape[2:]
        self._check_size(height, width)
        mixed, share, mask = CutMix(self.alpha).blend(pair, lam, generator)
        patches = (height // self.size) * (width // self.size)
        order = sample_uniform((len(mixed), patches), generator, mixed.device).argsort(1)
        source = shuffled_pixels(order, self.size, height, width)
        return Mixed(rearrange(mixed, source), share, rearrange(mask, source))

    def _check_size(self, height: int, width: int) -> None:
        if min(height, width) < self.size:
            raise UserError(
                f"images of {height} x {width} pixels hold no patch of {self.size} x {self.size}: give a "
                "smaller size"
            )
