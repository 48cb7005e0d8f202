"""What each of the RandAugments draws from.

Four different things are called RandAugment in semi-supervised learning; three of them are here, and that
of supervised recipes.

- "torchssl" (TorchSSL, USB): 3 operations, always applied, continuous magnitudes.
- "kekmodel" (FixMatch-pytorch): 2 operations, each applied with probability 1/2, levels 1 to 9 of 10.
- "self-tuning" (Self-Tuning's code): the operations of "kekmodel", with a Cutout of 16 pixels whatever the
  size of the image.
- "google" (google-research/fixmatch, RAMC): likewise, with stronger enhancement and fewer bits left by
  posterize.
- "rand-m9", "rand-m7", "rand-m6" (timm's rand-m9-mstd0.5-inc1 and weaker ones): 2 operations, each applied
  with probability 1/2, strength 9, 7 or 6 of 10 with deviation 0.5. Without timm's Invert and SolarizeAdd,
  with Identity. In the place of Cutout "rand-m9" erases as DeiT's recipe does, the others do not.
"""

from typing import Literal, NamedTuple

Variant = Literal["torchssl", "kekmodel", "google", "self-tuning", "rand-m9", "rand-m7", "rand-m6"]

BLENDS = ("brightness", "autocontrast", "contrast", "color", "sharpness")
GEOMETRY = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
# Images are sorted in this order, so that each family is one slice of the batch.
OPERATIONS = ("identity", "posterize", "solarize", "equalize", *BLENDS, *GEOMETRY)
# What CTAugment has beside those: "flatten" is equalize by degrees.
FILTERS = ("smooth", "blur", "flatten", "invert")
EVERY = (*OPERATIONS, *FILTERS, "cutout", "rescale")


class Range(NamedTuple):
    """Magnitudes ``low + step`` with ``step = (high - low) * level`` for a level in [0, 1].

    Attributes:
        low: magnitude of level 0.
        high: magnitude of level 1.
        signed: the sign is random.
        whole: the step is truncated to a whole number.
    """

    low: float = 0.0
    high: float = 0.0
    signed: bool = False
    whole: bool = False


class Pool(NamedTuple):
    """What a variant draws from.

    Attributes:
        draws: operations per image.
        probability: of applying each.
        levels: levels are 1 to ``levels`` - 1, divided by ``levels``; None: uniform in [0, 1].
        ranges: magnitude of each operation; translations as shares of the side.
        strength: mean of a level that is normal with deviation ``DEVIATION``, cut to [0, 1]; None: it is not.
    """

    draws: int
    probability: float
    levels: int | None
    ranges: dict[str, Range]
    strength: float | None = None


def _pool(
    draws: int, probability: float, levels: int | None, enhance: Range, shift: float, bits: Range
) -> Pool:
    turn, move = Range(0, 30, True, levels is not None), Range(0, shift, True, levels is not None)
    shear, solarize = Range(0, 0.3, True), Range(256, 0)
    values = {"posterize": bits, "solarize": solarize, "rotate": turn, "shear_x": shear, "shear_y": shear}
    values |= dict.fromkeys(("brightness", "contrast", "color", "sharpness"), enhance)
    values |= {"translate_x": move, "translate_y": move}
    return Pool(draws, probability, levels, {name: values.get(name, Range()) for name in OPERATIONS})


def _of_timm(strength: float) -> Pool:
    """Operations that all become stronger with the level ("inc1")."""
    pool = _pool(2, 0.5, None, Range(1, 1.9, True), 0.45, Range(4, 0, whole=True))
    ranges = pool.ranges | {"solarize": Range(256, 0, whole=True)}
    return pool._replace(ranges=ranges, strength=strength)


DEVIATION = 0.05
_MILD = Range(0.05, 0.95)
_KEKMODEL = _pool(2, 0.5, 10, _MILD, 0.3, Range(4, 8, whole=True))
POOLS: dict[Variant, Pool] = {
    "torchssl": _pool(3, 1.0, None, _MILD, 0.3, Range(4, 8, whole=True)),
    "kekmodel": _KEKMODEL,
    "self-tuning": _KEKMODEL,
    "google": _pool(2, 0.5, 10, Range(0.1, 1.9), 10 / 32, Range(4, 0, whole=True)),
    "rand-m9": _of_timm(0.9),
    "rand-m7": _of_timm(0.7),
    "rand-m6": _of_timm(0.6),
}
