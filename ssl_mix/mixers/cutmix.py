"""CutMix: paste a box of one picture into another."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.errors import check_positive
from ssl_mix.mixers._common import composite, cross, resolve_lam, sample_uniform, segments, share_outside
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair


def box_sides(centres: Tensor, lam: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Boxes of area share ``1 - lam``, one per sample, clipped at the borders.

    Args:
        centres: (N, 2) in [0, 1), row and column as a share of the side.
        lam: (N,) float32; the box sides are ``int(side * sqrt(1 - lam))``.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.

    Returns:
        The rows (N, height) and the columns (N, width) that the boxes cover, bool.
    """
    scale = (1 - lam).clamp(0, 1).sqrt()
    covered = []
    for axis, side in enumerate((height, width)):
        length = (side * scale).floor()
        start = (centres[:, axis] * side).floor() - (length / 2).floor()
        covered.append(segments(start, length, side))
    return covered[0], covered[1]


def box_masks(centres: Tensor, lam: Tensor, height: int, width: int) -> Tensor:
    """The same boxes as masks: (N, 1, height, width) bool, True inside the box."""
    return cross(*box_sides(centres, lam, height, width))


@dataclass(frozen=True)
class CutMix(Mixer):
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

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Paste boxes of ``images_b`` into ``images_a``."""
        images = pair.images_a
        lam = resolve_lam(lam, self.alpha, images, generator)
        centres = sample_uniform((len(images), 2), generator, images.device)
        rows, columns = box_sides(centres, lam, *images.shape[2:])
        mask = ~cross(rows, columns)
        return Mixed(composite(images, pair.images_b, mask), share_outside(rows, columns), mask)
