"""Decoded images of files in a folder on the disk, so that they are decoded once for all runs.

A cache is a folder ``FILES-STATE`` that holds ``images.npy`` and ``index.npz``. FILES is a check sum of the
names of the files and of what decides how they are decoded, STATE one of their sizes and times of change, for
images in archives of those of the archive. It is built beside its place and renamed once it is whole, and
never written to after that.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import PIL

from ssl_mix.datasets.cache_sources import Sources
from ssl_mix.datasets.decode import About, Scaled
from ssl_mix.datasets.decode_many import Outcome, Progress, Reading, outcomes_of, reading_of
from ssl_mix.datasets.mapped import MappedImages
from ssl_mix.datasets.one_at_a_time import only_one
from ssl_mix.datasets.originals import Form
from ssl_mix.datasets.packed import Names, Paths
from ssl_mix.errors import UserError, counts_of, verb_for

IMAGES, INDEX = "images.npy", "index.npz"
RULE = 1  # to be raised whenever ``decode`` gives other pixels


class Cached(NamedTuple):
    """What a cache gives: what came out of the files, and what the user must be told."""

    reading: Reading
    note: str


def read_cached(sources: Sources, form: Form, folder: Path, what: str, progress: Progress | None) -> Cached:
    """The images of files, decoded now or before.

    Where a cache of the same files is there of which some have changed since, those alone are decoded, and it
    is replaced. While another process builds the cache, this one waits.

    Args:
        sources: to be read.
        form: how images are stored.
        folder: for caches.
        what: "training" or "test", for messages.
        progress: told (label with the size, files done, files in all).

    Raises:
        ValueError: the folder cannot be made, or has no room.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"expected a folder for `cache_images` at {folder}: {error.strerror}") from error
    files, stamps = sources.names, sources.stamps
    names = _names_sum(sources.keys, form)
    place = folder / f"{names}-{hashlib.blake2b(stamps.tobytes(), digest_size=8).hexdigest()}"
    size = f"{len(files) * form.channels * form.size**2 / 2**20:,.1f} MiB"
    done = _opened(place, files)
    if done is not None:
        return Cached(
            done,
            f"{counts_of(len(files), f'{what} image')} {verb_for(len(files))} read from {place} ({size})",
        )
    label = f"caching {what} images, {size} in {folder}"
    with only_one(folder / f"{names}.lock", lambda: _tell(progress, f"waiting for {place}", len(files))):
        done = _opened(place, files)
        if done is not None:  # the other process has built it
            return Cached(
                done,
                f"{counts_of(len(files), f'{what} image')} {verb_for(len(files))} read from {place} ({size})",
            )
        _check_room(folder, len(files) * form.channels * form.size**2)
        _tell(progress, label, len(files))
        kept = _build(place, sources, form, progress, label)
        for old in _others(folder, names, place):
            shutil.rmtree(old, ignore_errors=True)
    found = _opened(place, files)
    if found is None:
        raise UserError(f"the cache in {place} is damaged: remove it")
    changed = f"{len(files) - kept:,} of {counts_of(len(files), f'{what} image')} changed since then: decoded"
    new = f"decoded {counts_of(len(files), f'{what} image')}"
    return Cached(found, f"{changed if kept else new} into {place} ({size}), where later runs find them")


def _tell(progress: Progress | None, label: str, count: int) -> None:
    if progress is not None:
        progress(label, 0, count)


def _names_sum(keys: Names, form: Form) -> str:
    digest = hashlib.blake2b(repr((tuple(form), RULE, PIL.__version__)).encode(), digest_size=8)
    for key in keys:
        digest.update(os.fsencode(key) + b"\0")
    return digest.hexdigest()


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"the cache of images needs {needed / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free in "
            f"{folder}: name another folder (`cache_images`), or lower `image_size`"
        )


def _others(folder: Path, names: str, place: Path) -> list[Path]:
    """Caches of the same files as they were before."""
    return [other for other in sorted(folder.glob(f"{names}-*")) if other != place and other.is_dir()]


def _build(
    place: Path,
    sources: Sources,
    form: Form,
    progress: Progress | None,
    label: str,
) -> int:
    """Build a cache; how many images of it are copies of those in an older one."""
    files, stamps = sources.names, sources.stamps
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=place.parent))
    try:
        shape = (len(files), form.channels, form.size, form.size)
        pixels = np.lib.format.open_memmap(building / IMAGES, mode="w+", dtype=np.uint8, shape=shape)
        outcomes: list[Outcome | None] = [None] * len(files)
        for old in _others(place.parent, place.name.partition("-")[0], place):
            _take_over(old, stamps, pixels, outcomes)
        wanted = [position for position, outcome in enumerate(outcomes) if outcome is None]

        def image_at(number: int) -> tuple[npt.NDArray[np.uint8], About]:
            return sources.read(wanted[number], form)

        found = outcomes_of(image_at, len(wanted), _Rows(pixels, wanted), progress, label)
        for position, outcome in zip(wanted, found, strict=True):
            outcomes[position] = outcome
        pixels.flush()
        _write_index(building / INDEX, stamps, outcomes)
        _sync(building / IMAGES)
        if place.exists() and _opened(place, files) is None:
            shutil.rmtree(place)  # a damaged one
        if not place.exists():
            building.rename(place)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return len(files) - len(wanted)


class _Rows:
    """Some rows of an array, by their number among those."""

    def __init__(self, pixels: npt.NDArray[np.uint8], rows: Sequence[int]) -> None:
        self.pixels, self.rows = pixels, rows

    def __setitem__(self, position: int, image: npt.NDArray[np.uint8]) -> None:
        self.pixels[self.rows[position]] = image


def _take_over(
    old: Path,
    stamps: npt.NDArray[np.int64],
    pixels: npt.NDArray[np.uint8],
    outcomes: list[Outcome | None],
) -> None:
    """Copy what has not changed since an older cache was built."""
    try:
        before, found = _read_index(old / INDEX)
        images = np.load(old / IMAGES, mmap_mode="r")
    except (OSError, ValueError, KeyError):  # a damaged one is no loss
        return
    for position in np.flatnonzero((before == stamps).all(axis=1)).tolist():
        if outcomes[position] is None:
            outcomes[position], pixels[position] = found[position], images[position]


def _opened(place: Path, files: Paths) -> Reading | None:
    """What is in a cache; None without a whole one."""
    try:
        _, outcomes = _read_index(place / INDEX)
        reading = reading_of(files, outcomes, None)
        return reading._replace(images=MappedImages(place / IMAGES, reading.kept if reading.broken else None))
    except (OSError, ValueError, KeyError):
        return None


def _write_index(path: Path, stamps: npt.NDArray[np.int64], outcomes: Sequence[Outcome | None]) -> None:
    good = [(at, found) for at, found in enumerate(outcomes) if isinstance(found, About)]
    digests = np.zeros((len(outcomes), 16), dtype=np.uint8)
    small = np.zeros(len(outcomes), dtype=bool)
    for at, about in good:
        digests[at], small[at] = np.frombuffer(about.digest, dtype=np.uint8), about.small
    told = {
        "broken": {at: found for at, found in enumerate(outcomes) if isinstance(found, str)},
        "scaled": {at: about.scaled for at, about in good if about.scaled is not None},
    }
    with open(path, "wb") as file:
        np.savez(file, stamps=stamps, digests=digests, small=small, told=np.array(json.dumps(told)))
    _sync(path)


def _read_index(path: Path) -> tuple[npt.NDArray[np.int64], list[Outcome]]:
    """Stamps of the files of a cache, and what came out of each."""
    with np.load(path, allow_pickle=False) as content:
        stamps, told = content["stamps"], json.loads(str(content["told"]))
        digests, small = content["digests"], content["small"].tolist()
    broken: dict[str, str] = told["broken"]
    scaled: dict[str, list[Any]] = told["scaled"]
    outcomes: list[Outcome] = [
        About(is_small, digest.tobytes(), None) for is_small, digest in zip(small, digests, strict=True)
    ]
    for at, about in scaled.items():
        outcomes[int(at)] = About(small[int(at)], digests[int(at)].tobytes(), Scaled(*about))
    for at, why in broken.items():
        outcomes[int(at)] = why
    return stamps, outcomes


def _sync(path: Path) -> None:
    """Have the disk hold a file before it is renamed."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())
