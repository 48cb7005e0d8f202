"""Image files to square uint8 tensors: one way to decode, for training and for prediction alike."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ssl_mix.errors import UserError

# Formats are named because Pillow otherwise tries every one it knows, some by starting other programs.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
MODES = {1: "L", 3: "RGB"}
CEILINGS = {"I": (65535.0,), "F": (1.0, 255.0, 65535.0)}
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112
Fit = Literal["cut", "squash"]


def decode(path: str | PathLike[str], size: int, channels: int = 3, fit: Fit = "cut") -> Tensor:
    """Read one image: upright, made square, resized.

    Images that already have the size keep their pixels; the others are resampled with an antialiased
    bicubic filter. A JPEG at least four times too large is first reduced by a power of two in its decoder,
    not below twice the size asked for. Transparent parts become white, samples of 16 or 32 bits are scaled to
    8, and an animation gives its first frame.

    Args:
        path: JPEG, PNG, WebP, BMP, TIFF or GIF file.
        size: side of the result in pixels.
        channels: 3 for RGB, 1 for gray.
        fit: "cut" takes the central square; "squash" the whole image, whose sides are resized each by itself.

    Returns:
        (channels, size, size) uint8.

    Raises:
        ValueError: the file cannot be read as an image, or ``channels`` is neither 1 nor 3.

    Examples:
        >>> decode("train/cat/1.png", size=8).shape
        torch.Size([3, 8, 8])
        >>> decode("train/cat/1.png", size=8, channels=1).shape
        torch.Size([1, 8, 8])
    """
    check_channels(channels)
    try:
        with quiet():
            pixels, _ = read_image(path, size, channels, fit)
            return torch.from_numpy(np.ascontiguousarray(pixels))
    except Exception as error:  # broken files make Pillow raise almost anything
        raise UserError(f"{path} cannot be read as an image: {reason(error)}") from error


def check_channels(channels: int) -> None:
    """Raise unless images can be read with so many channels."""
    if channels not in MODES:
        raise UserError(f"channels must be 1 (gray) or 3 (RGB), got {channels}")


def read_image(
    path: str | PathLike[str], size: int, channels: int, fit: Fit
) -> tuple[npt.NDArray[np.uint8], bool]:
    """``decode`` to an array, without its care for errors, and whether the image was too small."""
    image = open_image(path, reduced_to=2 * size)
    return square(image, size, channels, fit), min(image.size) < size


def open_image(path: str | PathLike[str], *, reduced_to: int | None = None) -> Image.Image:
    """The image in a file, upright and of whatever size.

    Args:
        path: of the file.
        reduced_to: a JPEG may be reduced while it is decoded, not below this side.
    """
    with open(path, "rb") as file:
        content = file.read()  # at once: Pillow would read in many small steps
    with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
        if reduced_to is not None:
            opened.draft(None, (reduced_to, reduced_to))
        opened.load()  # before the orientation is read: Pillow turns a TIFF while loading it
        return upright(opened)


def upright(image: Image.Image) -> Image.Image:
    """A copy turned as its metadata say, with 8 bits per sample and nothing transparent."""
    turn = _turn(image)
    plain = _plain(image)
    return plain.copy() if turn is None else plain.transpose(turn)


def square(image: Image.Image, size: int, channels: int, fit: Fit) -> npt.NDArray[np.uint8]:
    """An upright image as (channels, size, size), see ``decode``."""
    image, side = image.convert(MODES[channels]), (size, size)
    image = ImageOps.fit(image, side) if fit == "cut" else image.resize(side, Image.Resampling.BICUBIC)
    pixels: npt.NDArray[np.uint8] = np.array(image).reshape(size, size, channels).transpose(2, 0, 1)
    return pixels


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Pillow's warnings of large images and odd metadata; not for several threads at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def reason(error: Exception) -> str:
    """Why an image could not be read, without the file's name."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # broken metadata of a good image
        return None


def _plain(image: Image.Image) -> Image.Image:
    """The image with 8 bits per sample and nothing transparent."""
    depth = image.mode.partition(";")[0]  # "I;16", "I;16B" and "I" alike
    if depth in CEILINGS:
        return _scaled(np.asarray(image, dtype=np.float64), CEILINGS[depth])
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        colored = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colored)
    return image


def _scaled(values: npt.NDArray[np.float64], ceilings: tuple[float, ...]) -> Image.Image:
    """Samples as 8-bit gray; white is the first ceiling that none exceeds, or else the largest sample."""
    values = np.nan_to_num(values)
    white = next((ceiling for ceiling in ceilings if values.max() <= ceiling), values.max())
    return Image.fromarray(np.rint(values.clip(0) * (255 / white)).astype(np.uint8))
