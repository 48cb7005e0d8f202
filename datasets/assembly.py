"""From lists of image files to a data set: read them, keep them or not, and tell what was wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]
import torch

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets.data import UNKNOWN, DataSet, ImageSet
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress, Reading, read_all
from ssl_mix.datasets.images import ImageSource, ResidentImages, StreamedImages
from ssl_mix.datasets.pixel_statistics import channel_statistics
from ssl_mix.errors import UserError

MIN_SIZE = 8
CHANNELS = 3
NAMED = 3


class Listing(NamedTuple):
    """Files and their labels, -1 where unknown."""

    files: list[Path]
    labels: list[int]


class Options(NamedTuple):
    """How to read images.

    Attributes:
        image_size: side in pixels at which they are stored.
        memory_budget: bytes the images may take, or None for half of the free memory.
        progress: told (what is done, files done, files in all), or None.
        fit: how they become square, see ``decode``.
    """

    image_size: int
    memory_budget: int | None
    progress: Progress | None
    fit: Fit = "cut"


def assemble(
    train: Listing, test: Listing | None, classes: tuple[str, ...], notes: Sequence[str], options: Options
) -> DataSet:
    """Read the files into a data set, which streams them if they need more memory than they may take.

    Every file is read once, so that broken ones are known and left out.

    Args:
        train: files to learn from.
        test: files to evaluate on, or None.
        classes: names.
        notes: to begin the data set's notes with.
        options: how to read.

    Raises:
        ValueError: the image size is under 8, or no file of a class can be read.
    """
    size = options.image_size
    if size < MIN_SIZE:
        raise UserError(f"image_size must be at least {MIN_SIZE}, got {size}")
    listings = {"training": train} if test is None else {"training": train, "test": test}
    needed = sum(len(listing.files) for listing in listings.values()) * CHANNELS * size**2
    budget = (
        psutil.virtual_memory().available // 2 if options.memory_budget is None else options.memory_budget
    )

    readings, sets = [], {}
    for part, listing in listings.items():
        label = f"reading {part} images"
        reading = read_all(
            listing.files,
            size,
            CHANNELS,
            options.fit,
            keep=needed <= budget,
            progress=options.progress,
            label=label,
        )
        _check_kept(part, listing, reading, classes)
        readings.append(reading)
        sets[part] = _image_set(listing, reading, options)

    mean, std = channel_statistics(sets["training"].images)
    augmentation = Augmentation(mean=mean, std=std, flip=True, padding=size // 8)
    told = (*notes, *_memory_notes(needed, budget), *_reading_notes(readings, size))
    return DataSet("folder", classes, sets["training"], sets.get("test"), augmentation, told)


def _check_kept(part: str, listing: Listing, reading: Reading, classes: Sequence[str]) -> None:
    lost = sorted(set(listing.labels) - {listing.labels[position] for position in reading.kept})
    if lost:
        who = ", ".join("the unlabeled part" if label == UNKNOWN else repr(classes[label]) for label in lost)
        path, reason = next(
            entry for entry in reading.broken if entry[0] == listing.files[listing.labels.index(lost[0])]
        )
        raise UserError(
            f"none of the {part} images of {who} can be read, the first because of: {reason} ({path})"
        )


def _image_set(listing: Listing, reading: Reading, options: Options) -> ImageSet:
    files = [listing.files[position] for position in reading.kept]
    labels = [listing.labels[position] for position in reading.kept]
    images: ImageSource = (
        StreamedImages(files, options.image_size, CHANNELS, options.fit)
        if reading.images is None
        else ResidentImages(reading.images)
    )
    return ImageSet(images, torch.tensor(labels, dtype=torch.int64), tuple(map(str, files)))


def _memory_notes(needed: int, budget: int) -> list[str]:
    if needed <= budget:
        return []
    return [
        f"the images need {needed / 2**20:,.1f} MiB, more than the {budget / 2**20:,.1f} MiB they may "
        "take: they are read from their files again and again, which is slower"
    ]


def _reading_notes(readings: Sequence[Reading], size: int) -> list[str]:
    notes = []
    broken = [entry for reading in readings for entry in reading.broken]
    enlarged = sum(reading.enlarged for reading in readings)
    if broken:
        named = ", ".join(f"{path} ({reason})" for path, reason in broken[:NAMED])
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        what = "1 file" if len(broken) == 1 else f"{len(broken)} files"
        notes.append(f"left out {what} that cannot be read as images: {named}{more}")
    if enlarged:
        notes.append(f"{enlarged} images are smaller than {size}x{size} and were enlarged")
    return notes
