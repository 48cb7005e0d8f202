"""Many image files at once, in threads: Pillow lets go of the interpreter while it decodes."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ssl_mix.datasets.decode import About, Fit, Scaled, check_form, quiet, read_image, reason
from ssl_mix.datasets.mapped import MappedImages
from ssl_mix.errors import checking_kinds

CHUNK = 32
Found = TypeVar("Found")
Progress = Callable[[str, int, int], None]
Outcome = About | str  # of a file: what is told of its image, or why it cannot be read


class Reading(NamedTuple):
    """What came out of a list of files.

    Attributes:
        images: (K, C, size, size) uint8, in memory or mapped, or None where only the files were checked.
        kept: positions in the list of the K images that could be read, ascending.
        broken: the other files, each with the reason.
        enlarged: how many of the K images were smaller than ``size``.
        digests: of each of the K images, equal for copies; None where they are unknown.
        scaled: how many images had samples of more than 8 bits, by how those were scaled.
    """

    images: Tensor | MappedImages | None
    kept: list[int]
    broken: list[tuple[Path, str]]
    enlarged: int
    digests: list[bytes] | None = None
    scaled: Mapping[Scaled, int] = MappingProxyType({})


@checking_kinds
def decode_all(
    paths: Sequence[Path],
    size: int,
    channels: int = 3,
    fit: Fit = "cut",
    *,
    progress: Progress | None = None,
    label: str = "reading images",
) -> tuple[Tensor, list[int], list[tuple[Path, str]]]:
    """``decode`` for a list of files, in threads; broken ones are left out.

    Args:
        paths: image files.
        size: side of the results in pixels.
        channels: 3 for RGB, 1 for gray.
        fit: how images become square, see ``decode``.
        progress: called from this thread with (label, files done, files in all).
        label: for ``progress``.

    Returns:
        Images (K, channels, size, size) uint8, their positions in ``paths``, and broken files with reasons.

    Raises:
        ValueError: ``size``, ``channels`` or ``fit`` is out of range.

    Examples:
        >>> images, kept, broken = decode_all([Path("train/cat/1.png"), Path("labels.txt")], size=8)
        >>> images.shape, kept, [path.name for path, _ in broken]
        (torch.Size([1, 3, 8, 8]), [0], ['labels.txt'])
    """
    reading = read_all(paths, size, channels, fit, keep=True, progress=progress, label=label)
    assert isinstance(reading.images, Tensor)
    return reading.images, reading.kept, reading.broken


def read_all(
    paths: Sequence[Path],
    size: int,
    channels: int = 3,
    fit: Fit = "cut",
    *,
    keep: bool,
    progress: Progress | None = None,
    label: str = "reading images",
) -> Reading:
    """As ``decode_all``, with more to tell; ``keep=False`` checks the files and keeps no pixels."""
    check_form(size, channels, fit)
    shape = len(paths), channels, size, size

    def image_at(position: int) -> tuple[npt.NDArray[np.uint8], About]:
        return read_image(paths[position], size, channels, fit)

    return read_at(image_at, paths, shape, keep=keep, progress=progress, label=label)


def read_at(
    image_at: Callable[[int], tuple[npt.NDArray[np.uint8], About]],
    paths: Sequence[Path],
    shape: tuple[int, int, int, int],
    *,
    keep: bool,
    progress: Progress | None,
    label: str,
) -> Reading:
    """``read_all`` of images that ``image_at`` gives, (N, C, S, S) in all, whose names are ``paths``."""
    images = torch.empty(shape if keep else (0, *shape[1:]), dtype=torch.uint8)
    outcomes = outcomes_of(image_at, len(paths), images.numpy() if keep else None, progress, label)
    reading = reading_of(paths, outcomes, images if keep else None)
    if keep and reading.broken:
        return reading._replace(images=images[torch.tensor(reading.kept, dtype=torch.int64)])
    return reading


class Pixels(Protocol):
    """Where images go, each to its position."""

    def __setitem__(self, position: int, image: npt.NDArray[np.uint8], /) -> None: ...


def outcomes_of(
    image_at: Callable[[int], tuple[npt.NDArray[np.uint8], About]],
    count: int,
    pixels: Pixels | None,
    progress: Progress | None,
    label: str,
) -> list[Outcome]:
    """Decode images in threads, into ``pixels`` where those are given; what came out of each, in order."""

    def read(position: int) -> Outcome:
        try:
            image, about = image_at(position)
        except Exception as error:  # broken files make Pillow raise almost anything
            return reason(error)
        if pixels is not None:
            pixels[position] = image
        return about

    return in_threads(read, count, progress, label)


def reading_of(paths: Sequence[Path], outcomes: Sequence[Outcome], images: Tensor | None) -> Reading:
    """What came out of a list of files, all told."""
    kept = [position for position, outcome in enumerate(outcomes) if not isinstance(outcome, str)]
    broken = [(paths[at], what) for at, what in enumerate(outcomes) if isinstance(what, str)]
    good = [outcome for outcome in outcomes if not isinstance(outcome, str)]
    scaled = Counter(found.scaled for found in good if found.scaled is not None)
    enlarged, digests = sum(found.small for found in good), [found.digest for found in good]
    return Reading(images, kept, broken, enlarged, digests, scaled)


def available_cpus() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_threads(
    read: Callable[[int], Found], count: int, progress: Progress | None, label: str, *, chunk: int = CHUNK
) -> list[Found]:
    """``read`` of 0 to ``count`` - 1, in order, in as many threads as there are processors, with progress."""

    def read_chunk(start: int) -> list[Found]:
        return [read(position) for position in range(start, min(start + chunk, count))]

    outcomes: list[Found] = []
    with quiet(), ThreadPoolExecutor(available_cpus()) as pool:
        for found in pool.map(read_chunk, range(0, count, chunk)):
            outcomes += found
            if progress is not None:
                progress(label, len(outcomes), count)
    return outcomes
