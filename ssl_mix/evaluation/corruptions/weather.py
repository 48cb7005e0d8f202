"""Weather: snow, frost, fog, and a brighter sky."""

import numpy as np

from ssl_mix.evaluation.corruptions.blur import moved
from ssl_mix.evaluation.corruptions.pixels import Level, Pixels, zoomed
from ssl_mix.evaluation.corruptions.textures import frost_texture, plasma

LUMA = (0.299, 0.587, 0.114)


def snow(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Whiten the image and add flakes: Gaussian noise, enlarged, cut off below a threshold and blurred along
    a line that falls, once as it is and once turned round.

    Level: mean and deviation of the noise, zoom, threshold, radius and sigma of the blur, share of the image.
    """
    mean, deviation, zoom, threshold, radius, sigma, kept = level
    flakes = zoomed(draws.normal(mean, deviation, size=(*image.shape[:2], 1)), zoom)
    flakes = np.floor(255 * np.clip(np.where(flakes < threshold, 0, flakes), 0, 1))
    flakes = np.round(moved(flakes, radius, sigma, angle=draws.uniform(-135, -45)))
    gray = image if image.shape[2] == 1 else (image @ np.array(LUMA))[:, :, None]
    white = kept * image + (1 - kept) * np.maximum(image, 1.5 * gray + 0.5 * 255)
    return white + flakes + np.rot90(flakes, 2)


def frost(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Add ice: a share of the image and a share of a texture."""
    height, width, channels = image.shape
    ice = frost_texture(height, width, draws)
    return level[0] * image + level[1] * (ice if channels == 3 else ice.mean(axis=2, keepdims=True))


def fog(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Add ``strength`` times a fractal in [0, 1], and bring the brightest value back to what it was."""
    strength, decay = level
    height, width = image.shape[:2]
    side = 2 ** max(1, (max(height, width) - 1).bit_length())
    brightest = image.max() / 255
    mist = plasma(side, decay, draws)[:height, :width, None]
    found: Pixels = (image + 255 * strength * mist) * brightest / (brightest + strength)
    return found


def brightness(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Add to the value of HSV, at most to 1, which keeps hue and saturation: the channels keep their
    ratios."""
    del draws
    value = image.max(axis=2, keepdims=True)
    brighter = np.minimum(value + 255 * level[0], 255)
    found: Pixels = np.where(value > 0, image * brighter / np.maximum(value, 1e-9), brighter)
    return found
