"""RandAugment for a batch: each picture gets operations and magnitudes of its own, without a loop over pictures.

Four different things are called RandAugment in semi-supervised learning; three of them are here.

- "torchssl" (TorchSSL, USB): 3 operations, always applied, continuous magnitudes.
- "kekmodel" (FixMatch-pytorch): 2 operations, each applied with probability 1/2, levels 1 to 9 of 10.
- "google" (google-research/fixmatch, RAMC): likewise, with stronger enhancement and other posterize levels.

The choices are drawn on the CPU. So the host knows how many pictures each operation gets and can sort the batch by operation without
asking the device for anything.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ssl_mix.augment import operations
from ssl_mix.errors import UserError, nearest

Variant = Literal["torchssl", "kekmodel", "google"]


class _Range(NamedTuple):
    """Magnitudes ``low + (high - low) * v`` for v in [0, 1], with a random sign, truncated to whole numbers."""

    low: float = 0.0
    high: float = 0.0
    signed: bool = False
    whole: bool = False


class _Pool(NamedTuple):
    """What a variant draws from."""

    draws: int
    probability: float
    levels: int | None
    ranges: dict[str, _Range]


def _pool(
    draws: int,
    probability: float,
    levels: int | None,
    enhance: _Range,
    shift: float,
    bits: _Range,
    solarize: _Range,
) -> _Pool:
    whole = levels is not None
    ranges = {
        "identity": _Range(),
        "autocontrast": _Range(),
        "equalize": _Range(),
        "brightness": enhance,
        "color": enhance,
        "contrast": enhance,
        "sharpness": enhance,
        "posterize": bits,
        "solarize": solarize,
        "rotate": _Range(0, 30, True, whole),
        "shear_x": _Range(0, 0.3, True),
        "shear_y": _Range(0, 0.3, True),
        "translate_x": _Range(0, shift, True, whole),
        "translate_y": _Range(0, shift, True, whole),
    }
    return _Pool(draws, probability, levels, ranges)


_MILD = _Range(0.05, 0.95)
POOLS: dict[Variant, _Pool] = {
    "torchssl": _pool(3, 1.0, None, _MILD, 0.3, _Range(4, 8, whole=True), _Range(0, 256)),
    "kekmodel": _pool(2, 0.5, 10, _MILD, 0.3, _Range(4, 8, whole=True), _Range(256, 0)),
    "google": _pool(2, 0.5, 10, _Range(0.1, 1.9), 10 / 32, _Range(4, 0, whole=True), _Range(256, 0)),
}
# What each operation does to a slice of the batch; those that move pixels share one gather and come last.
POINTWISE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "identity": lambda images, _: images,
    "autocontrast": lambda images, _: operations.autocontrast(images),
    "equalize": lambda images, _: operations.equalize(images),
    "brightness": operations.brightness,
    "color": operations.color,
    "contrast": operations.contrast,
    "sharpness": operations.sharpness,
    "posterize": operations.posterize,
    "solarize": operations.solarize,
}
GEOMETRY = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
OPERATIONS = (*POINTWISE, *GEOMETRY)


class Choices(NamedTuple):
    """What happens to each picture in each of D draws, on the CPU.

    Attributes:
        operation: position in ``OPERATIONS``, (D, N) int64.
        magnitude: in the operation's own unit (factor, bits, value, degrees, slope, pixels), (D, N) float64.
    """

    operation: Tensor
    magnitude: Tensor


def check_variant(variant: str) -> None:
    """Raise unless ``variant`` is known."""
    if variant not in POOLS:
        raise UserError(
            f"variant must be one of {', '.join(get_args(Variant))}, got {variant!r}.{nearest(variant, POOLS)}"
        )


@dataclass(frozen=True)
class RandAugment:
    """Random picture operations, drawn for each picture by itself.

    Args:
        variant: "torchssl", "kekmodel" or "google", see the module.
        geometry: factor on the ranges of rotation, shear and translation; below 1 for tiny pictures.

    Raises:
        ValueError: the variant is unknown.

    Source: Cubuk et al., "RandAugment" (2020), in the forms that semi-supervised code gives it. The operations equal Pillow's. Differs:
    translations of "kekmodel" and "google" are shares of the side, equal to theirs at 32 pixels.
    """

    variant: Variant = "torchssl"
    geometry: float = 1.0

    def __post_init__(self) -> None:
        check_variant(self.variant)

    def __call__(self, images: Tensor, *, generator: torch.Generator) -> Tensor:
        """Alter uint8 pictures (N, C, H, W); the input stays as it is."""
        count, _, height, width = images.shape
        return apply_choices(images, self.sample(count, height, width, generator))

    def sample(self, count: int, height: int, width: int, generator: torch.Generator) -> Choices:
        """Draw operations and magnitudes for ``count`` pictures of ``height`` x ``width`` pixels."""
        pool = POOLS[self.variant]
        shape = (pool.draws, count)
        operation = torch.randint(len(OPERATIONS), shape, generator=generator)
        applied, level, sign = torch.rand(3, *shape, dtype=torch.float64, generator=generator).unbind(0)
        operation = operation.where(applied < pool.probability, OPERATIONS.index("identity"))
        if pool.levels:
            level = (1 + (level * (pool.levels - 1)).floor()) / pool.levels
        ranges = torch.tensor([pool.ranges[name] for name in OPERATIONS], dtype=torch.float64)
        low, high, signed, whole = ranges[operation].unbind(-1)
        unit = self._units(height, width)[operation]
        magnitude = (low + (high - low) * level) * unit
        magnitude = torch.where((signed > 0) & (sign < 0.5), -magnitude, magnitude)
        return Choices(operation, torch.where(whole > 0, magnitude.trunc(), magnitude))

    def _units(self, height: int, width: int) -> Tensor:
        """What a magnitude is multiplied by, for each operation: sides for translations, ``geometry`` for all that move pixels."""
        sides = {"translate_x": width, "translate_y": height}
        units = [sides.get(name, 1) * (self.geometry if name in GEOMETRY else 1.0) for name in OPERATIONS]
        return torch.tensor(units, dtype=torch.float64)


def apply_choices(images: Tensor, choices: Choices) -> Tensor:
    """Carry out what was drawn, one draw after the other."""
    device = images.device
    place = torch.arange(len(images))  # which picture lies where
    for operation, magnitude in zip(choices.operation, choices.magnitude, strict=True):
        order = operation[place].argsort(stable=True)
        place = place[order]
        images = images.index_select(0, order.to(device, non_blocking=True))
        sizes = torch.bincount(operation, minlength=len(OPERATIONS)).tolist()
        sizes = [*sizes[: len(POINTWISE)], sum(sizes[len(POINTWISE) :])]
        *parts, moved = torch.split(images, sizes)
        *values, _ = magnitude[place].float().to(device, non_blocking=True).split_with_sizes(sizes)
        done = [
            f(part, value)
            for f, part, value in zip(POINTWISE.values(), parts, values, strict=True)
            if len(part)
        ]
        if len(moved):
            kind, amount = operation[place][-len(moved) :], magnitude[place][-len(moved) :]
            matrices = affine_matrices(kind, amount, *images.shape[2:])
            done.append(operations.affine(moved, matrices.float().to(device, non_blocking=True)))
        images = torch.cat(done)
    return images.index_select(0, place.argsort().to(device, non_blocking=True))


def affine_matrices(operation: Tensor, magnitude: Tensor, height: int, width: int) -> Tensor:
    """What ``operations.affine`` needs to rotate about the centre, shear or translate.

    Args:
        operation: positions in ``OPERATIONS`` of operations in ``GEOMETRY``, (N,) int64.
        magnitude: degrees, slope or pixels, (N,) float64.
        height: of the pictures.
        width: of the pictures.

    Returns:
        (N, 6) float64.
    """
    rotate, shear_x, shear_y, move_x, move_y = (
        magnitude.where(operation == OPERATIONS.index(name), 0.0) for name in GEOMETRY
    )
    cosine, sine = torch.cos(rotate.deg2rad()), torch.sin(rotate.deg2rad())
    x, y = width / 2, height / 2
    a, b, d, e = cosine, shear_x - sine, shear_y + sine, cosine
    c = x - cosine * x + sine * y + move_x
    f = y - sine * x - cosine * y + move_y
    return torch.stack((a, b, c, d, e, f), dim=1)
