"""Arrays of images, of any usual layout and number type, as uint8 tensors."""

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from ssl_mix.datasets.decode import MODES, upright
from ssl_mix.errors import UserError

CHUNK = 1000
LAYOUTS = "(N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels C"
ONE_LAYOUTS = "(H, W), (H, W, C) or (C, H, W) with 1 or 3 channels C"
GRAY = {"1", "L", "LA", "La", "I", "F"}

Original = Image.Image | Tensor  # as it was given: an upright image, or uint8 (C, H, W)


def is_array(value: object) -> bool:
    """Whether it is an array of NumPy or a tensor."""
    return isinstance(value, np.ndarray | Tensor)


def as_images(values: Any, where: str) -> Tensor:
    """Many images as (N, C, H, W) uint8 on the CPU; uint8 ones are not copied where their layout fits.

    Args:
        values: array or tensor of uint8, or of floats in [0, 1], which become ``round(255 x)``. Where both
            layouts are possible, a tensor has its channels first and an array last.
        where: whose images they are, for messages.

    Raises:
        ValueError: another shape, number type or range.
    """
    check_array(values, where)
    return _as_bytes(_channels_first(values, where, LAYOUTS), where)


def check_array(values: Any, where: str) -> None:
    """Raise unless it is an array or a tensor whose numbers are there."""
    if not is_array(values):
        raise UserError(
            f"{where}: expected an array or a tensor, got {type(values).__name__}: "
            "ssl_mix.datasets.as_dataset takes folders, lists and Datasets"
        )
    if isinstance(values, Tensor) and (values.is_meta or values.layout != torch.strided):
        raise UserError(f"{where}: expected a tensor with its numbers, got one without them, or a sparse one")


def as_original(value: Any, where: str) -> Original:
    """One image as it was given: a Pillow image upright, anything else as a uint8 tensor (C, H, W).

    Raises:
        ValueError: it is no image, or as ``as_images``.
    """
    if isinstance(value, Image.Image):
        return upright(value).image
    if not is_array(value) or value.ndim not in (2, 3):
        shape = f" of shape {tuple(value.shape)}" if is_array(value) else ""
        remedy = ": torch.cat joins batches to (X, y)" if is_array(value) and value.ndim == 4 else ""
        raise UserError(
            f"{where}: expected an image (Pillow, NumPy or tensor {ONE_LAYOUTS}), got "
            f"{type(value).__name__}{shape}{remedy}"
        )
    return _as_bytes(_channels_first(value[None], where, ONE_LAYOUTS), where)[0]


def is_gray(original: Original) -> bool:
    """Whether it has no colors."""
    if isinstance(original, Tensor):
        return len(original) == 1
    return original.mode in GRAY or original.mode.startswith("I;")


def size_of(original: Original) -> tuple[int, int]:
    """(width, height)."""
    if isinstance(original, Tensor):
        return original.shape[2], original.shape[1]
    return original.size


def with_channels(original: Original, channels: int) -> Original:
    """The same with 3 channels, or with 1 where it is gray anyway."""
    if isinstance(original, Tensor):
        return original.expand(channels, -1, -1)
    return original.convert(MODES[channels])


def as_picture(original: Original) -> Image.Image:
    """The same as a Pillow image."""
    if isinstance(original, Image.Image):
        return original
    pixels = original.numpy()
    return Image.fromarray(np.ascontiguousarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)))


def digest_of(image: Tensor) -> bytes:
    """A check sum of an image (C, H, W), uint8 on the CPU."""
    return hashlib.blake2b(image.contiguous().numpy().tobytes(), digest_size=16).digest()


def _channels_first(values: Any, where: str, layouts: str) -> Tensor:
    first_likely = isinstance(values, Tensor)
    tensor = values.detach().cpu() if isinstance(values, Tensor) else _from_numpy(values, where)
    if tensor.ndim == 3:
        tensor = tensor[:, None]
    elif tensor.ndim == 4:
        first, last = tensor.shape[1] in MODES, tensor.shape[3] in MODES
        if last and not (first and first_likely):
            tensor = tensor.permute(0, 3, 1, 2)
        elif not first:
            tensor = tensor[:0, 0]
    if tensor.ndim != 4 or 0 in tensor.shape[1:]:
        skipped = layouts is ONE_LAYOUTS
        raise UserError(f"{where}: expected images of shape {layouts}, got {tuple(values.shape[skipped:])}")
    return tensor


def _from_numpy(values: npt.NDArray[Any], where: str) -> Tensor:
    if values.dtype.kind not in "uif" or values.dtype.itemsize > 8:
        raise UserError(_other_type(where, values.dtype))
    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    return torch.from_numpy(native if native.flags.writeable else native.copy())


def _as_bytes(images: Tensor, where: str) -> Tensor:
    if images.dtype == torch.uint8:
        return images.contiguous()
    if not images.is_floating_point():
        raise UserError(_other_type(where, images.dtype))
    found = torch.empty(images.shape, dtype=torch.uint8)
    for target, part in zip(torch.split(found, CHUNK), torch.split(images, CHUNK), strict=True):
        if not len(part):
            continue
        values = part.float() if part.dtype.itemsize < 4 else part
        if values.isnan().any():
            raise UserError(f"{where}: the images hold NaN, expected floats in [0, 1]")
        low, high = values.min().item(), values.max().item()
        if low < 0 or high > 1:
            raise UserError(
                f"{where}: expected floats in [0, 1], got values from {low:.3g} to {high:.3g}: give images "
                "before they are normalized, or as uint8"
            )
        target.copy_((values * 255).round())
    return found


def _other_type(where: str, dtype: object) -> str:
    return (
        f"{where}: expected images of uint8, or floats in [0, 1], got {dtype}: divide them by what is white "
        "in them (65535 for 16 bits), or give uint8"
    )
