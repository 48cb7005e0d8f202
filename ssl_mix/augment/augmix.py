"""AugMix for a batch: each image blended with chains of operations on it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ssl_mix.augment.apply import Choices, apply_choices, magnitudes, ranges_in_pixels
from ssl_mix.augment.checks import check_images
from ssl_mix.augment.pools import GEOMETRY, OPERATIONS, Range

NAMES = ("posterize", "solarize", "equalize", "autocontrast", *GEOMETRY)
RANGES = {
    "posterize": Range(4, 0, whole=True),
    "solarize": Range(256, 0, whole=True),
    "rotate": Range(0, 30, True, True),
    **dict.fromkeys(("shear_x", "shear_y"), Range(0, 0.3, True)),
    **dict.fromkeys(("translate_x", "translate_y"), Range(0, 1 / 3, True, True)),
}
LOW, HIGH = 0.01, 0.3  # of levels: severity 3 of 10


@dataclass(frozen=True)
class AugMix:
    """``(1 - m) x + m sum_i w_i chain_i(x)``, rounded: ``m`` from Beta(1, 1), the weights ``w`` of the chains
    from Dirichlet(1, ..., 1), and each chain 1 to ``depth`` of nine operations on x, one after the other.

    Args:
        geometry: factor on the ranges of rotation, shear and translation; below 1 for tiny images.
        width: chains.
        depth: operations in a chain at most.

    Source: Hendrycks et al., "AugMix" (ICLR 2020), with severity 3 as in its code. Differs: the mix is
    rounded to uint8; its other half, a loss of consistency between three views, is left to the algorithms.
    Other than torchvision's ``AugMix``, each image of a batch has its own draws, strengths are continuous,
    and the four enhancers are left out, as in the paper.
    """

    geometry: float = 1.0
    width: int = 3
    depth: int = 3

    def __call__(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """Alter images; the input stays as it is.

        Args:
            images: (N, C, H, W) uint8 with 1 or 3 channels.
            generator: on the CPU.

        Raises:
            ValueError: the images are not uint8, or have another number of channels.
        """
        check_images(images, "AugMix", channels=(1, 3))
        count, _, height, width = images.shape
        choices, weights = self.sample(count, height, width, generator)
        chains = apply_choices(images.repeat(self.width, 1, 1, 1), choices)
        parts = (images, *torch.split(chains, count)) if count else (images,)
        shares = weights.to(images.device, non_blocking=True)[:, :, None, None, None]
        mixed = torch.zeros(images.shape, device=images.device)
        for share, part in zip(shares, parts, strict=count > 0):
            mixed.addcmul_(share, part)
        return mixed.round_().to(torch.uint8)

    def sample(
        self, count: int, height: int, width: int, generator: torch.Generator
    ) -> tuple[Choices, Tensor]:
        """Draw for ``count`` images of ``height`` x ``width`` pixels: what happens in their chains, those of
        the first chain of all images first, and the weights (1 + width, count) of image and chains."""
        shape = (self.depth, self.width * count)
        names = torch.tensor([OPERATIONS.index(name) for name in NAMES])
        operation = names[torch.randint(len(names), shape, generator=generator)]
        length = torch.randint(1, self.depth + 1, shape[1:], generator=generator)
        used = torch.arange(self.depth)[:, None] < length
        operation = operation.where(used, OPERATIONS.index("identity"))
        level, sign = torch.rand(2, *shape, dtype=torch.float64, generator=generator).unbind(0)
        ranges = ranges_in_pixels(RANGES, self.geometry, height, width)
        magnitude = magnitudes(ranges[operation], LOW + (HIGH - LOW) * level, sign)
        wait = torch.empty(self.width, count).exponential_(generator=generator)
        mixed = torch.rand(count, generator=generator)
        return Choices(operation, magnitude), torch.cat(((1 - mixed)[None], mixed * wait / wait.sum(0)))
