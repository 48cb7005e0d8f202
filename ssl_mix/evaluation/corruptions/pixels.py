"""What the kinds of corruption share: the form of an image, and ways to look at it between its pixels."""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.imported import imported

Pixels = npt.NDArray[np.float64]  # (H, W, C) in 0..255; a kind may return values beyond
Level = tuple[float, ...]  # parameters of a kind at one severity


def blurred(image: Pixels, sigma: float) -> Pixels:
    """(H, W, C) after a Gaussian blur of each channel, the borders repeated."""
    found: Pixels = imported("scipy.ndimage").gaussian_filter(
        image, (sigma, sigma, 0), mode="nearest", truncate=4.0
    )
    return found


def zoomed(image: Pixels, factor: float) -> Pixels:
    """The middle of (H, W, C), enlarged to (H, W, C) by bilinear interpolation between its corner pixels."""
    sides = image.shape[:2]
    crops = [int(np.ceil(side / factor)) for side in sides]
    tops = [(side - crop) // 2 for side, crop in zip(sides, crops, strict=True)]
    middle = _batch(image)[:, :, tops[0] : tops[0] + crops[0], tops[1] : tops[1] + crops[1]]
    size = [round(crop * factor) for crop in crops]
    large = F.interpolate(middle, size, mode="bilinear", align_corners=True)
    cut = [(found - side) // 2 for found, side in zip(size, sides, strict=True)]
    return _image(large[:, :, cut[0] : cut[0] + sides[0], cut[1] : cut[1] + sides[1]])


def sampled(image: Pixels, rows: Pixels, columns: Pixels, *, twice: bool) -> Pixels:
    """Values of (H, W, C) at places (H, W), interpolated bilinearly; what lies beyond a border is mirrored,
    with the pixel at the border ``twice`` or once."""
    places = []
    for place, side in ((columns, image.shape[1]), (rows, image.shape[0])):
        places.append((2 * place + 1) / side - 1 if twice else 2 * place / max(side - 1, 1) - 1)
    grid = torch.from_numpy(np.stack(places, axis=2))[None]
    return _image(F.grid_sample(_batch(image), grid, padding_mode="reflection", align_corners=not twice))


def _batch(image: Pixels) -> Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None]


def _image(batch: Tensor) -> Pixels:
    found: Pixels = batch[0].permute(1, 2, 0).numpy()
    return found
