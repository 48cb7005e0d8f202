"""TrivialAugment for a batch: one operation for each image, at any strength, and nothing to tune."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.augment.apply import Choices, apply_choices, magnitudes, ranges_in_pixels
from ssl_mix.augment.checks import check_images
from ssl_mix.augment.pools import OPERATIONS, Range

LEVELS, REACH = 31, 32
_ENHANCE, _SHEAR, _MOVE = Range(1, 1.99, True), Range(0, 0.99, True), Range(0, 1, True, True)
RANGES = {
    "posterize": Range(7.5, 1.5),  # 8 to 2 bits, rounded: parts of a bit are cut off
    "solarize": Range(255, 0),
    **dict.fromkeys(("brightness", "contrast", "color", "sharpness"), _ENHANCE),
    "rotate": Range(0, 135, True),
    **dict.fromkeys(("shear_x", "shear_y"), _SHEAR),
    **dict.fromkeys(("translate_x", "translate_y"), _MOVE),
}


@dataclass(frozen=True)
class TrivialAugment:
    """One of 14 operations, uniformly, at one of 31 levels, uniformly; drawn for each image by itself.

    Args:
        geometry: factor on the ranges of rotation, shear and translation; below 1 for tiny images.

    Source: Mueller and Hutter, "TrivialAugment" (ICCV 2021), its Wide space as in torchvision's
    ``TrivialAugmentWide``. Differs: each image of a batch has its own draws; translations reach 32 pixels as
    there, but not beyond the side of a smaller image.
    """

    geometry: float = 1.0

    def __call__(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """Alter images; the input stays as it is.

        Args:
            images: (N, C, H, W) uint8 with 1 or 3 channels.
            generator: on the CPU.

        Raises:
            ValueError: the images are not uint8, or have another number of channels.
        """
        check_images(images, "TrivialAugment", channels=(1, 3))
        count, _, height, width = images.shape
        return apply_choices(images, self.sample(count, height, width, generator))

    def sample(self, count: int, height: int, width: int, generator: torch.Generator) -> Choices:
        """Draw operations and magnitudes for ``count`` images of ``height`` x ``width`` pixels."""
        operation = torch.randint(len(OPERATIONS), (1, count), generator=generator)
        level = torch.randint(LEVELS, (1, count), generator=generator) / (LEVELS - 1)
        sign = torch.rand(1, count, generator=generator)
        ranges = ranges_in_pixels(RANGES, self.geometry, min(height, REACH), min(width, REACH))
        return Choices(operation, magnitudes(ranges[operation], level.double(), sign))
