"""RandAugment for a batch: each image gets operations and magnitudes of its own, without a loop over images.

The choices are drawn on the CPU. So the host knows how many images each family of operations gets and can
sort the batch by operation without asking the device for anything.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.augment.blend import blend_
from ssl_mix.augment.checks import check_images
from ssl_mix.augment.pools import BLENDS, GEOMETRY, OPERATIONS, POOLS, Variant
from ssl_mix.augment.tables import equalize_, posterize_, solarize_
from ssl_mix.augment.warp import warp_, warp_matrices
from ssl_mix.errors import check_choice


class Choices(NamedTuple):
    """What happens to each image in each of D draws, on the CPU.

    Attributes:
        operation: position in ``OPERATIONS``, (D, N) int64.
        magnitude: in the operation's own unit (factor, bits, value, degrees, slope, pixels), (D, N) float64.
    """

    operation: Tensor
    magnitude: Tensor


@dataclass(frozen=True)
class RandAugment:
    """Random image operations, drawn for each image by itself.

    Args:
        variant: "torchssl", "kekmodel", "google" or "self-tuning", see ``ssl_mix.augment.pools``.
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
        if pool.levels:
            level = (1 + (level * (pool.levels - 1)).floor()) / pool.levels
        low, high, signed, whole = self._ranges(height, width)[operation].unbind(-1)
        step = (high - low) * level
        step = torch.where(whole > 0, step.trunc(), step)
        return Choices(operation, low + torch.where((signed > 0) & (sign < 0.5), -step, step))

    def _ranges(self, height: int, width: int) -> Tensor:
        """(14, 4): low, high, signed, whole of each operation; translations in pixels, ``geometry`` applied
        to all that move pixels."""
        units = dict.fromkeys(GEOMETRY, self.geometry)
        units |= {"translate_x": self.geometry * width, "translate_y": self.geometry * height}
        ranges = ((units.get(name, 1.0), POOLS[self.variant].ranges[name]) for name in OPERATIONS)
        return torch.tensor(
            [(unit * r.low, unit * r.high, r.signed, r.whole) for unit, r in ranges], dtype=torch.float64
        )


def apply_choices(images: Tensor, choices: Choices) -> Tensor:
    """Carry out what was drawn, one draw after the other, on uint8 images (N, C, H, W) with 1 or 3
    channels."""
    device = images.device
    sorting = choices.operation.argsort(dim=1, stable=True)
    counts = F.one_hot(choices.operation, len(OPERATIONS)).sum(dim=1).tolist()
    matrices = warp_matrices(*choices, *images.shape[2:]).gather(2, sorting.expand(6, -1, -1))
    values = choices.magnitude.gather(1, sorting).float().to(device, non_blocking=True)
    *orders, home = _orders(sorting).to(device, non_blocking=True)
    moves = matrices.to(device, non_blocking=True).unbind(1)
    for draw, order in enumerate(orders):
        images = images.index_select(0, order)
        _alter_(images, values[draw], moves[draw], counts[draw])
    return images.index_select(0, home)


def _orders(sorting: Tensor) -> Tensor:
    """How to reorder the batch before each draw, and back at the end.

    Args:
        sorting: the images in the order each draw wants, (D, N) int64.

    Returns:
        (D + 1, N) int64, each relative to the order before.
    """
    start = torch.arange(sorting.shape[1]).expand_as(sorting)
    places = torch.cat((start[:1], torch.empty_like(sorting).scatter_(1, sorting, start)))
    return torch.cat((places[:-1].gather(1, sorting), places[-1:]))


def _alter_(images: Tensor, values: Tensor, matrices: Tensor, counts: list[int]) -> None:
    """One draw on images sorted by operation.

    Args:
        images: (N, C, H, W) uint8; overwritten.
        values: magnitudes (N,) float32.
        matrices: of ``warp_``, (6, N).
        counts: images of each operation.
    """
    blends = counts[4 : 4 + len(BLENDS)]
    sizes = [*counts[:4], sum(blends), sum(counts[4 + len(BLENDS) :])]
    _, posterized, solarized, equalized, blended, warped = images.split_with_sizes(sizes)
    _, bits, threshold, _, factor, _ = values.split_with_sizes(sizes)
    if len(posterized):
        posterize_(posterized, bits)
    if len(solarized):
        solarize_(solarized, threshold)
    if len(equalized):
        equalize_(equalized)
    if len(blended):
        blend_(blended, factor, blends)
    if len(warped):
        warp_(warped, matrices[:, -len(warped) :])
