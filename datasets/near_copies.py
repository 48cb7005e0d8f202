"""Images that look the same: resized, recompressed or slightly altered copies, by their perceptual hash."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.datasets.images import ImageSource
from ssl_mix.datasets.pixels import as_picture
from ssl_mix.errors import UserError

NEAR = 4  # bits of 64; of 5 bands of 13 bits (the last of 12) one at least is then the same
WIDTH = 13
BANDS = tuple(np.uint64(WIDTH * band) for band in range(NEAR + 1))
SIDE, CHUNK, ROWS = 64, 32, 1024


def has_hashes() -> bool:
    """Whether imagehash is installed."""
    try:
        import imagehash  # noqa: F401
    except ImportError:
        return False
    return True


def near_keys(sources: Sequence[ImageSource]) -> list[list[int]]:
    """A number for each image of each source, equal where images look the same.

    They do where their perceptual hashes (the signs of 64 low frequencies around their median, ``phash`` of
    imagehash) differ in at most 4 bits, in one step or several.

    Args:
        sources: images in the size in which they are stored.

    Raises:
        ValueError: imagehash is not installed.
    """
    hashes = [perceptual_hashes(source) for source in sources]
    numbers = group_near(np.concatenate(hashes)).tolist()
    ends = np.cumsum([len(found) for found in hashes]).tolist()
    return [numbers[end - len(found) : end] for end, found in zip(ends, hashes, strict=True)]


def perceptual_hashes(images: ImageSource) -> npt.NDArray[np.uint64]:
    """The perceptual hash of each image, (N,)."""
    try:
        import imagehash
    except ImportError as error:
        raise UserError("near copies are found by imagehash: pip install 'ssl-mix[copies]'") from error
    chunks = torch.split(torch.arange(len(images)), CHUNK)
    batches = images.batches(chunks, torch.device("cpu"))
    small = (_reduced(batch) for batch in batches)
    found = [_bits(imagehash.phash(as_picture(image))) for batch in small for image in batch]
    return np.array(found, dtype=np.uint64)


def group_near(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """A number for each hash (N,): equal for those that a chain of steps of at most 4 bits joins.

    Two such hashes have one of five bands of bits in common, so that only those are compared.
    """
    unique, inverse = np.unique(hashes, return_inverse=True)
    parents = list(range(len(unique)))
    for shift in BANDS:
        band = (unique >> shift) & np.uint64(2**WIDTH - 1)
        order = np.argsort(band, kind="stable")
        cuts = np.flatnonzero(np.diff(band[order])) + 1
        for group in np.split(order, cuts):
            for start in range(0, len(group), ROWS) if len(group) > 1 else ():
                rows = group[start : start + ROWS]
                near = np.bitwise_count(unique[rows, None] ^ unique[None, group]) <= NEAR
                for row, column in np.argwhere(near).tolist():
                    one, other = _root(parents, int(rows[row])), _root(parents, int(group[column]))
                    parents[max(one, other)] = min(one, other)
    roots = np.array([_root(parents, number) for number in range(len(unique))], dtype=np.int64)
    return roots[inverse] if len(roots) else np.empty(0, dtype=np.int64)


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number


def _reduced(images: Tensor) -> Tensor:
    """Large images by their means over areas: the hash makes 32x32 pixels of them, more slowly."""
    factor = min(images.shape[2:]) // SIDE
    return images if factor < 2 else F.avg_pool2d(images.float(), factor).round().byte()


def _bits(found: Any) -> int:
    return int.from_bytes(np.packbits(found.hash.flatten()).tobytes(), "big")
