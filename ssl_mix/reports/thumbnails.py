"""Small pictures inside a page: JPEG as data URIs, as many as a number of bytes allows."""

import base64
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ssl_mix.datasets import ImageSource

QUALITY, CHUNK = 80, 64
SIDES = ((400, 128), (1500, 96), (10**9, 64))  # up to so many pictures, a side in pixels
CPU = torch.device("cpu")


def thumbnails(images: ImageSource, positions: Sequence[int], budget: int) -> dict[int, str]:
    """Data URIs of images by position, in order of importance until ``budget`` characters are used.

    The more are wanted the smaller they are, 128 to 64 pixels; images that are smaller stay as they are.

    Args:
        images: the images.
        positions: of those that are wanted.
        budget: characters in all.
    """
    wanted = list(dict.fromkeys(positions))
    side = next(side for most, side in SIDES if len(wanted) <= most)
    found: dict[int, str] = {}
    chunks = torch.split(torch.tensor(wanted, dtype=torch.int64), CHUNK)
    for chunk, batch in zip(chunks, images.batches(iter(chunks), CPU), strict=False):
        for position, image in zip(chunk.tolist(), batch, strict=True):
            uri = data_uri(image, side)
            budget -= len(uri)
            if budget < 0:
                return found
            found[position] = uri
    return found


def data_uri(image: Tensor, side: int) -> str:
    """A uint8 image (C, H, W) as JPEG, no side longer than ``side`` pixels."""
    pixels: npt.NDArray[np.uint8] = image.permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels[:, :, :3])
    picture.thumbnail((side, side))
    return encoded(picture)


def encoded(picture: Image.Image) -> str:
    """A picture as a data URI."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
