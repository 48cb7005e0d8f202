"""Textures that are laid over images: fog and frost."""

import numpy as np

from ssl_mix.evaluation.corruptions.pixels import Pixels

# Mean red, green and blue, and deviation, of the five photographs that the benchmark draws from.
ICE = (
    ((78, 149, 166), 19),
    ((201, 205, 214), 22),
    ((201, 205, 214), 22),
    ((138, 153, 165), 29),
    ((112, 123, 135), 43),
)


def plasma(side: int, decay: float, draws: np.random.Generator) -> Pixels:
    """A fractal landscape (side, side) in [0, 1] by the diamond-square algorithm on a torus.

    Args:
        side: a power of two, from 2 on.
        decay: by which the amplitude of what is added falls with each halving of the grid; its square counts.
        draws: of what is added.
    """
    field = np.zeros((side, side))
    step, amplitude = side, 100.0

    def displaced(sums: Pixels) -> Pixels:
        return sums / 4 + amplitude * draws.uniform(-amplitude, amplitude, sums.shape)

    while step >= 2:
        half = step // 2
        corners = field[::step, ::step]
        right, below = np.roll(corners, -1, axis=1), np.roll(corners, -1, axis=0)
        middles = displaced(corners + right + below + np.roll(below, -1, axis=1))
        field[half::step, half::step] = middles
        field[::step, half::step] = displaced(middles + np.roll(middles, 1, axis=0) + corners + right)
        field[half::step, ::step] = displaced(middles + np.roll(middles, 1, axis=1) + corners + below)
        step, amplitude = half, amplitude / decay
    field -= field.min()
    field /= field.max()
    return field


def frost_texture(height: int, width: int, draws: np.random.Generator) -> Pixels:
    """Ice on a window, (H, W, 3) in 0..255: clouds and crystals, both sums of waves of random phases whose
    amplitude falls with their frequency; crystals are the lines where such a sum changes its sign.

    Mean color and deviation are those of one of the five photographs of the benchmark, drawn at random; these
    are not part of this package.
    """
    color, deviation = ICE[draws.integers(len(ICE))]
    clouds, first, second = (_waves(height, width, draws) for _ in range(3))
    crystals = np.exp(-3 * np.abs(first)) + np.exp(-3 * np.abs(second))
    ice = _standard(clouds + 2 * crystals)
    return np.clip(np.array(color, dtype=np.float64) + deviation * ice[:, :, None], 0, 255)


def _waves(height: int, width: int, draws: np.random.Generator) -> Pixels:
    """Noise (H, W) whose amplitude is the inverse of its frequency, with mean 0 and deviation 1."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    waves = np.fft.rfft2(draws.normal(size=(height, width)))
    waves /= np.maximum(frequency, 1 / max(height, width))
    return _standard(np.fft.irfft2(waves, (height, width)))


def _standard(field: Pixels) -> Pixels:
    found: Pixels = (field - field.mean()) / max(float(field.std()), 1e-9)
    return found
