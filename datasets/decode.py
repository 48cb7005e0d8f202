"""Image files to square uint8 tensors: one way to decode, for training and for prediction alike."""

import hashlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from ssl_mix.datasets.depth import eight_bits
from ssl_mix.datasets.formats import formats_for
from ssl_mix.errors import UserError, check_choice, check_count, checking_kinds

MODES = {1: "L", 3: "RGB"}
LARGEST_FILE = 2**30
KINDS = {stat.S_ISDIR: "folder", stat.S_ISFIFO: "pipe", stat.S_ISSOCK: "socket"}
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
LONGEST_REASON = 200
HALVED = "color of 16 bits, of which Pillow keeps the upper 8"
DEEP = {"I": "samples of 32 bits", "F": "floats"}
WITHOUT_GRAY = {"LAB": "RGB", "La": "LA"}  # modes that Pillow makes no gray of, and ones that it does of
Fit = Literal["cut", "squash"]


class UnreadableError(UserError):
    """A file cannot be read as an image."""


@checking_kinds
def decode(path: str | PathLike[str], size: int, channels: int = 3, fit: Fit = "cut") -> Tensor:
    """Read one image: upright, made square, resized.

    Images that already have the size keep their pixels; the others are resampled with an antialiased
    bicubic filter. A JPEG at least four times too large is first reduced by a power of two in its decoder,
    not below twice the size asked for. Transparent parts become white, an animation gives its first frame.

    Samples of more than 8 bits, whole numbers or floats, are scaled to 8. White is ``2^n - 1`` with the
    smallest n that holds the largest sample: 255, 511, ..., 4095, ..., 65535; floats in [0, 1] have 1. Black
    is 0, or minus white where samples are negative. Of color with 16 bits Pillow itself keeps the upper 8.

    Args:
        path: of a regular file in any format that Pillow decodes, or HEIF where pillow-heif is installed.
        size: side of the result in pixels.
        channels: 3 for RGB, 1 for gray.
        fit: "cut" takes the central square; "squash" the whole image, whose sides are resized each by itself.

    Returns:
        (channels, size, size) uint8.

    Raises:
        ValueError: the file cannot be read as an image, or ``size``, ``channels`` or ``fit`` is out of range.

    Examples:
        >>> decode("train/cat/1.png", size=8).shape
        torch.Size([3, 8, 8])
        >>> decode("train/cat/1.png", size=8, channels=1).shape
        torch.Size([1, 8, 8])
    """
    check_form(size, channels, fit)
    try:
        with quiet():
            return torch.from_numpy(np.ascontiguousarray(read_image(path, size, channels, fit)[0]))
    except Exception as error:  # broken files make Pillow raise almost anything
        raise UnreadableError(f"{path} cannot be read as an image: {reason(error)}") from error


def check_form(size: int, channels: int, fit: Fit) -> None:
    """Raise unless images can be stored so."""
    check_count("size", size)
    check_choice("fit", fit, get_args(Fit))
    if channels not in MODES:
        raise UserError(f"channels must be 1 (gray) or 3 (RGB), got {channels}")


class Scaled(NamedTuple):
    """Which samples of an image became 8-bit ones, and what of them is black and white."""

    samples: str
    black: int
    white: int


class About(NamedTuple):
    """What is told of an image file beside its pixels.

    Attributes:
        small: whether the image was smaller than it is stored.
        digest: of the bytes of the file.
        scaled: how its samples became 8-bit ones, or None where they were.
    """

    small: bool
    digest: bytes
    scaled: Scaled | None


class Upright(NamedTuple):
    """An image turned as its metadata say, with 8 bits per sample and nothing transparent, and how its
    samples were scaled."""

    image: Image.Image
    scaled: Scaled | None


def read_image(
    path: str | PathLike[str], size: int, channels: int, fit: Fit
) -> tuple[npt.NDArray[np.uint8], About]:
    """``decode`` to an array, without its care for errors."""
    return read_content(path, read_bytes(path), size, channels, fit)


def read_content(
    path: str | PathLike[str], content: bytes, size: int, channels: int, fit: Fit
) -> tuple[npt.NDArray[np.uint8], About]:
    """``read_image`` of what is in a file of that name."""
    image, scaled = open_image(path, content, reduced_to=2 * size)
    digest = hashlib.blake2b(content, digest_size=16).digest()
    return square(image, size, channels, fit), About(min(image.size) < size, digest, scaled)


def size_in(path: str | PathLike[str]) -> tuple[int, int]:
    """(width, height) of the image in a file, as its first bytes say.

    Raises:
        Exception: of any kind, where it is no image.
    """
    check_regular(path)
    with Image.open(path, formats=formats_for(path)) as image:
        found: tuple[int, int] = image.size
        return found


def read_bytes(path: str | PathLike[str]) -> bytes:
    """What is in a regular file, at once: Pillow would read in many small steps."""
    check_regular(path)
    with open(path, "rb") as file:
        return file.read()


def check_regular(path: str | PathLike[str]) -> None:
    """Raise for a folder, a pipe, a socket or a device, of which reading may never end, and for more than a
    GiB."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        kind = next((word for is_kind, word in KINDS.items() if is_kind(found.st_mode)), "device")
        raise UserError(f"a {kind}, not a regular file")
    if found.st_size > LARGEST_FILE:
        raise UserError(f"a file of {found.st_size / 2**30:.1f} GiB, expected at most 1 GiB")


def open_image(
    path: str | PathLike[str], content: bytes | None = None, *, reduced_to: int | None = None
) -> Upright:
    """The image in a file, upright and of whatever size.

    Args:
        path: of the file.
        content: of the file, where it has been read.
        reduced_to: a JPEG may be reduced while it is decoded, not below this side.
    """
    content = read_bytes(path) if content is None else content
    if not content:
        raise UserError("an empty file")
    with Image.open(io.BytesIO(content), formats=formats_for(path)) as opened:
        if reduced_to is not None:
            opened.draft(None, (reduced_to, reduced_to))
        halved = _loses_bits(opened)
        opened.load()  # before the orientation is read: Pillow turns a TIFF while loading it
        found = upright(opened)
    return found._replace(scaled=Scaled(HALVED, 0, 65535)) if halved else found


def upright(image: Image.Image) -> Upright:
    """A copy turned as its metadata say, with 8 bits per sample and nothing transparent."""
    turn = _turn(image)
    plain, scaled = _plain(image)
    return Upright(plain.copy() if turn is None else plain.transpose(turn), scaled)


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
    """Why an image could not be read, in a line without the file's name."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image of a known format"
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())[:LONGEST_REASON]


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return TURNS.get(image.getexif().get(ORIENTATION, 1))
    except Exception:  # broken metadata of a good image
        return None


def _loses_bits(image: Image.Image) -> bool:
    """Whether Pillow is about to drop the lower half of samples of 16 bits, which it keeps in gray alone."""
    return image.mode in ("L", "LA", "RGB", "RGBA", "CMYK") and any(
        ";16" in str(tile[3]) for tile in getattr(image, "tile", ())
    )


def _plain(image: Image.Image) -> tuple[Image.Image, Scaled | None]:
    """The image with 8 bits per sample and nothing transparent, and how its samples were scaled."""
    if image.mode in DEEP or image.mode.startswith("I;16"):
        return _scaled(image)
    if image.mode in WITHOUT_GRAY:
        image = image.convert(WITHOUT_GRAY[image.mode])
    if image.mode in ("RGBA", "LA", "PA", "RGBa") or "transparency" in image.info:
        colored = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), colored), None
    return image, None


def _scaled(image: Image.Image) -> tuple[Image.Image, Scaled]:
    pixels, black, white = eight_bits(np.asarray(image))
    if isinstance(transparent := image.info.get("transparency"), int):
        pixels[np.asarray(image) == transparent] = 255
    return Image.fromarray(pixels), Scaled(DEEP.get(image.mode, "samples of 16 bits"), black, white)
