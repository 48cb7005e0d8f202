"""Noise: Gaussian, of photons, and of dead and hot pixels."""

import numpy as np

from ssl_mix.evaluation.corruptions.pixels import Level, Pixels


def gaussian_noise(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Add ``255 N(0, c^2)`` to every value."""
    return image + 255 * draws.normal(scale=level[0], size=image.shape)


def shot_noise(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Poisson noise of c photons in white."""
    counts = draws.poisson(image / 255 * level[0]).astype(np.float64)
    return 255 / level[0] * counts


def impulse_noise(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """A share of the values becomes black or white."""
    hit = draws.random(image.shape) <= level[0]
    white = draws.random(image.shape) <= 0.5
    return np.where(hit, 255.0 * white, image)
