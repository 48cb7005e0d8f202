"""Blur: out of focus, behind frosted glass, of a moving camera, of zooming in."""

import numpy as np
import numpy.typing as npt

from ssl_mix.evaluation.corruptions.pixels import Level, Pixels, blurred, zoomed
from ssl_mix.imported import imported


def defocus_blur(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Mean over a disk of ``radius``, whose rim is smoothed by ``sigma``; borders are mirrored."""
    del draws
    kernel = disk(*level)
    reach = len(kernel) // 2
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    found: Pixels = imported("scipy.signal").fftconvolve(
        padded, kernel[:, :, None], mode="valid", axes=(0, 1)
    )
    return found


def disk(radius: float, sigma: float) -> Pixels:
    """Weights of a disk, (2 r + 1, 2 r + 1) with r = 8 or a larger radius, that add up to about 1."""
    reach = max(8, int(radius))
    offsets = np.arange(-reach, reach + 1)
    inside = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.float64)
    taps = np.arange(-1, 2) if radius <= 8 else np.arange(-2, 3)
    smooth = np.exp(-(taps**2) / (2 * sigma**2))
    found: Pixels = inside / inside.sum()
    for axis in (0, 1):
        found = imported("scipy.ndimage").correlate1d(found, smooth / smooth.sum(), axis=axis, mode="mirror")
    return found


def glass_blur(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Blur, let every pixel take on the value of one at most ``reach`` away, several times, and blur again.

    Pixels are visited from the last to the first. The published code means to exchange two of them, but its
    assignment copies one over the other; its images are made so, and so are these.
    """
    sigma, reach, times = level[0], int(level[1]), int(level[2])
    height, width = image.shape[:2]
    found = np.floor(blurred(image, sigma) + 1e-6)
    rows, columns = (np.arange(side - reach, reach, -1) for side in (height, width))
    for _ in range(times):
        steps = draws.integers(-reach, reach, size=(len(rows), len(columns), 2))
        sources = (rows[:, None] + steps[:, :, 1]) * width + columns + steps[:, :, 0]
        origin = copied_from(sources, rows[:, None] * width + columns, height * width)
        found = found.reshape(height * width, -1)[origin].reshape(image.shape)
    return blurred(found, sigma)


def copied_from(
    sources: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], count: int
) -> npt.NDArray[np.int64]:
    """Whose value each of ``count`` pixels has after copying ``sources`` to ``targets`` one by one, the last
    pixel first: (count,).

    A source behind its target has been written already, and passes on what it got. Such chains are followed
    for all pixels at once, by twice as many links each time. Places from ``count`` on stand for values as
    they were before.
    """
    place = np.arange(count)
    follow = np.concatenate((place + count, place + count))
    written = np.zeros(count, dtype=bool)
    written[targets.ravel()] = True
    passed_on = written[sources] & (sources > targets)
    follow[targets.ravel()] = np.where(passed_on, sources, sources + count).ravel()
    while (follow[:count] < count).any():
        follow = follow[follow]
    return follow[:count] - count


def motion_blur(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Blur along a line, at an angle from U[-45, 45] degrees."""
    return np.round(moved(image, *level, angle=draws.uniform(-45, 45)))


def moved(values: Pixels, radius: float, sigma: float, *, angle: float) -> Pixels:
    """Weighted mean of (H, W, C) shifted by 0, 1, ..., 2 radius pixels along a line, borders repeated: half
    a Gaussian of ``sigma`` pixels, as ImageMagick has it."""
    steps = np.arange(2 * int(radius) + 1)
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    down, right = (
        np.ceil(steps * share - 0.5).astype(np.int64)
        for share in (np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle)))
    )
    reach = 2 * int(radius)
    padded = np.pad(values, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width = values.shape[:2]
    found = np.zeros(values.shape)
    for weight, row, column in zip(weights, reach + down, reach + right, strict=True):
        found += weight * padded[row : row + height, column : column + width]
    return found


def zoom_blur(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Mean of the image and of it enlarged by 1, 1 + step, ... below ``end``."""
    del draws
    factors = np.arange(1, *level)
    layers = [zoomed(image, factor) for factor in factors]
    found: Pixels = (image + np.sum(layers, axis=0)) / (len(factors) + 1)
    return found
