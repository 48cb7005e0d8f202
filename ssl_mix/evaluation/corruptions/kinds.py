"""The fifteen kinds of corruption, each with its parameters at severities 1 to 5."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ssl_mix.evaluation.corruptions import blur, digital, noise, weather
from ssl_mix.evaluation.corruptions.pixels import Level, Pixels

SMALL = 128  # shorter sides below this have the parameters of CIFAR-C
PUBLISHED = 244 / 224  # of the side, in the elastic transform of ImageNet-C


class Kind(NamedTuple):
    """One kind of corruption.

    Attributes:
        apply: from an image (H, W, C) in 0..255, the parameters and a source of draws to another image.
        small: parameters at severities 1 to 5 in CIFAR-C.
        large: those in ImageNet-C.
    """

    apply: Callable[[Pixels, Level, np.random.Generator], Pixels]
    small: tuple[Level, ...]
    large: tuple[Level, ...]

    def level(self, severity: int, side: int) -> Level:
        """The parameters for images whose shorter side has so many pixels."""
        return (self.small if side < SMALL else self.large)[severity - 1]


def _each(*values: float) -> tuple[Level, ...]:
    return tuple((value,) for value in values)


def _of_side(*levels: Level) -> tuple[Level, ...]:
    return tuple(tuple(PUBLISHED * share for share in level) for level in levels)


KINDS = {
    "gaussian_noise": Kind(
        noise.gaussian_noise, _each(0.04, 0.06, 0.08, 0.09, 0.10), _each(0.08, 0.12, 0.18, 0.26, 0.38)
    ),
    "shot_noise": Kind(noise.shot_noise, _each(500, 250, 100, 75, 50), _each(60, 25, 12, 5, 3)),
    "impulse_noise": Kind(
        noise.impulse_noise, _each(0.01, 0.02, 0.03, 0.05, 0.07), _each(0.03, 0.06, 0.09, 0.17, 0.27)
    ),
    "defocus_blur": Kind(
        blur.defocus_blur,
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    ),
    "glass_blur": Kind(
        blur.glass_blur,
        ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    ),
    "motion_blur": Kind(
        blur.motion_blur,
        ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
        ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    ),
    "zoom_blur": Kind(
        blur.zoom_blur,
        ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    ),
    "snow": Kind(
        weather.snow,
        (
            (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
            (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
            (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
            (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
            (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
        ),
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "frost": Kind(
        weather.frost,
        ((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
        ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    ),
    "fog": Kind(
        weather.fog,
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    ),
    "brightness": Kind(weather.brightness, _each(0.05, 0.1, 0.15, 0.2, 0.3), _each(0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": Kind(digital.contrast, _each(0.75, 0.5, 0.4, 0.3, 0.15), _each(0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic_transform": Kind(
        digital.elastic_transform,
        ((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
        _of_side((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
    ),
    "pixelate": Kind(digital.pixelate, _each(0.95, 0.9, 0.85, 0.75, 0.65), _each(0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": Kind(digital.jpeg_compression, _each(80, 65, 58, 50, 40), _each(25, 18, 15, 10, 7)),
}
