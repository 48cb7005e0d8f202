"""RandAugment for a batch: each image gets operations and magnitudes of its own."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.augment.apply import Choices, apply_choices, magnitudes, ranges_in_pixels
from ssl_mix.augment.checks import check_images
from ssl_mix.augment.pools import DEVIATION, OPERATIONS, POOLS, Variant
from ssl_mix.errors import check_choice


@dataclass(frozen=True)
class RandAugment:
    """Random image operations, drawn for each image by itself.

    Args:
        variant: "torchssl", "kekmodel", "google", "self-tuning" or timm's "rand-m9", see
            ``ssl_mix.augment.pools``.
        geometry: factor on the ranges of rotation, shear and translation; below 1 for tiny images.
        draws: operations for each image; default: as many as the variant has.

    Raises:
        ValueError: the variant is unknown.

    Source: Cubuk et al., "RandAugment" (2020), in the forms that semi-supervised code gives it. The
    operations equal Pillow's. Differs: translations of "kekmodel" and "google" are shares of the side, equal
    to theirs at 32 pixels.
    """

    variant: Variant = "torchssl"
    geometry: float = 1.0
    draws: int | None = None

    def __post_init__(self) -> None:
        check_choice("variant", self.variant, POOLS)

    def __call__(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """Alter images; the input stays as it is.

        Args:
            images: (N, C, H, W) uint8 with 1 or 3 channels.
            generator: on the CPU.

        Raises:
            ValueError: the images are not uint8, or have another number of channels.
        """
        check_images(images, "RandAugment", channels=(1, 3))
        count, _, height, width = images.shape
        return apply_choices(images, self.sample(count, height, width, generator))

    def sample(self, count: int, height: int, width: int, generator: torch.Generator) -> Choices:
        """Draw operations and magnitudes for ``count`` images of ``height`` x ``width`` pixels."""
        pool = POOLS[self.variant]
        shape = (self.draws or pool.draws, count)
        operation = torch.randint(len(OPERATIONS), shape, generator=generator)
        applied, level, sign = torch.rand(3, *shape, dtype=torch.float64, generator=generator).unbind(0)
        operation = operation.where(applied < pool.probability, OPERATIONS.index("identity"))
        if pool.strength is not None:
            drawn = torch.randn(shape, dtype=torch.float64, generator=generator)
            level = (pool.strength + DEVIATION * drawn).clamp(0, 1)
        if pool.levels:
            level = (1 + (level * (pool.levels - 1)).floor()) / pool.levels
        ranges = ranges_in_pixels(pool.ranges, self.geometry, height, width)
        return Choices(operation, magnitudes(ranges[operation], level, sign))
