"""Masks in files: which class each pixel of an image is of."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ssl_mix.datasets.decode import quiet, read_bytes, reason
from ssl_mix.datasets.formats import formats_for
from ssl_mix.errors import UserError

INDEXED = ("P", "L", "1")  # modes of Pillow whose samples are numbers of classes


def read_mask(path: Path) -> Tensor:
    """The class of each pixel of a mask, (H, W) uint8: the indices of a PNG with a palette, or the gray
    values of one without.

    Raises:
        ValueError: the file cannot be read, holds colors, or is a JPEG, which does not keep numbers.
    """
    try:
        with quiet(), Image.open(io.BytesIO(read_bytes(path)), formats=formats_for(path)) as image:
            kind, mode, values = image.format, image.mode, np.array(image)
    except Exception as error:  # broken files make Pillow raise almost anything
        raise UserError(f"{path} cannot be read as a mask: {reason(error)}") from error
    if kind == "JPEG" or mode not in INDEXED:
        found = "a JPEG, which changes numbers" if kind == "JPEG" else f"one of {mode} without a palette"
        raise UserError(
            f"{path}: a mask must be a PNG with a palette, or a gray one of 8 bits, whose samples are the "
            f"numbers of classes, and this is {found}: write the numbers as such a PNG"
        )
    return torch.from_numpy(values.astype(np.uint8))
