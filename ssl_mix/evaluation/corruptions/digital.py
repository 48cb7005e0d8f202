"""Digital: low contrast, elastic distortion, coarse pixels, JPEG."""

from io import BytesIO

import numpy as np
from PIL import Image

from ssl_mix.evaluation.corruptions.pixels import Level, Pixels, sampled
from ssl_mix.imported import imported


def contrast(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Bring every value nearer to the mean of its channel."""
    del draws
    means: Pixels = image.mean(axis=(0, 1), keepdims=True)
    return means + level[0] * (image - means)


def elastic_transform(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Move three points of the image by U[-jitter, jitter] each way and the rest along with them, then every
    pixel by smooth noise: ``strength`` times U[-1, 1] blurred by ``sigma``.

    Level: strength, sigma and jitter as shares of the shorter side.
    """
    height, width = image.shape[:2]
    strength, sigma, jitter = (share * min(height, width) for share in level)
    found = _bent(image, jitter, draws)
    right, down = (
        strength * imported("scipy.ndimage").gaussian_filter(noise, sigma, mode="reflect", truncate=3.0)
        for noise in (draws.uniform(-1, 1, size=(height, width)) for _ in range(2))
    )
    rows, columns = np.mgrid[:height, :width]
    return sampled(found, rows + down, columns + right, twice=True)


def _bent(image: Pixels, jitter: float, draws: np.random.Generator) -> Pixels:
    """The image after the affine map that moves three points around its center at random."""
    height, width = image.shape[:2]
    center, reach = np.array([width, height]) // 2, min(height, width) // 3
    before = center + reach * np.array([(1, 1), (1, -1), (-1, -1)])  # x and y
    after = before + draws.uniform(-jitter, jitter, size=(3, 2))
    to_source = np.linalg.solve(np.column_stack((after, np.ones(3))), before.astype(np.float64))
    rows, columns = np.mgrid[:height, :width]
    source_columns, source_rows = np.moveaxis(
        np.stack((columns, rows, np.ones_like(rows)), axis=2) @ to_source, 2, 0
    )
    return sampled(image, source_rows, source_columns, twice=False)


def pixelate(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Shrink the image by a factor and enlarge it again, both with a box filter."""
    del draws
    picture = _picture(image)
    width, height = picture.size
    small = (max(1, int(width * level[0])), max(1, int(height * level[0])))
    return _values(picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.BOX))


def jpeg_compression(image: Pixels, level: Level, draws: np.random.Generator) -> Pixels:
    """Write the image as a JPEG of a quality, and read it again."""
    del draws
    file = BytesIO()
    _picture(image).save(file, "JPEG", quality=int(level[0]))
    return _values(Image.open(file))


def _picture(image: Pixels) -> Image.Image:
    values = image.astype(np.uint8)
    return Image.fromarray(values[:, :, 0] if values.shape[2] == 1 else values)


def _values(picture: Image.Image) -> Pixels:
    values = np.asarray(picture, dtype=np.float64)
    return values[:, :, None] if values.ndim == 2 else values
