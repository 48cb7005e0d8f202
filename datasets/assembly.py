"""From lists of images to a data set: read them, keep them or not, and tell what was wrong."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import psutil  # type: ignore[import-untyped]
import torch

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets.data import UNKNOWN, DataSet, ImageSet
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress, Reading
from ssl_mix.datasets.images import ImageSource, ResidentImages, StreamedImages, worker_count
from ssl_mix.datasets.originals import Files, Form, Originals, Stored
from ssl_mix.datasets.own_views import OwnViews, Transform
from ssl_mix.datasets.pixel_statistics import channel_statistics
from ssl_mix.errors import UserError

MIN_SIZE = 8
NAMED = 3


class Listing(NamedTuple):
    """Files and their labels, -1 where unknown."""

    files: list[Path]
    labels: list[int]


class Part(NamedTuple):
    """Images of any kind and their labels, -1 where unknown."""

    images: Originals
    labels: list[int]


class Options(NamedTuple):
    """How to read images.

    Attributes:
        image_size: side in pixels at which they are stored.
        memory_budget: bytes the images may take, or None for half of the free memory.
        progress: told (what is done, files done, files in all), or None.
        fit: how they become square, see ``decode``.
        channels: 3 for RGB, 1 for gray.
        workers: processes where they are streamed, see ``StreamedImages``.
        transforms: of the user, by the kind of view that they make.
    """

    image_size: int
    memory_budget: int | None
    progress: Progress | None
    fit: Fit = "cut"
    channels: int = 3
    workers: int | None = None
    transforms: Mapping[str, Transform] = MappingProxyType({})

    @property
    def form(self) -> Form:
        """How images are stored."""
        return Form(self.image_size, self.channels, self.fit)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of stored images."""
        return self.channels, self.image_size, self.image_size


def assemble(
    train: Listing, test: Listing | None, classes: tuple[str, ...], notes: Sequence[str], options: Options
) -> DataSet:
    """``assemble_parts`` of files, by the name "folder"."""
    parts = {"training": train} if test is None else {"training": train, "test": test}
    images = {name: Part(Files(listing.files), listing.labels) for name, listing in parts.items()}
    return assemble_parts("folder", images["training"], images.get("test"), classes, notes, options)


def assemble_parts(
    name: str,
    train: Part,
    test: Part | None,
    classes: tuple[str, ...],
    notes: Sequence[str],
    options: Options,
) -> DataSet:
    """Read images into a data set, which streams them if they need more memory than they may take.

    Every file is read once, so that broken ones are known and left out.

    Args:
        name: of the data set.
        train: images to learn from.
        test: images to evaluate on, or None.
        classes: names.
        notes: to begin the data set's notes with.
        options: how to read.

    Raises:
        ValueError: the image size is under 8, or no file of a class can be read.
    """
    size = options.image_size
    if size < MIN_SIZE:
        raise UserError(f"image_size must be at least {MIN_SIZE}, got {size}")
    parts = {"training": train} if test is None else {"training": train, "test": test}
    copied = sum(part.images.copied(options.form) for part in parts.values())
    needed = copied * options.channels * size**2
    budget = (
        psutil.virtual_memory().available // 2 if options.memory_budget is None else options.memory_budget
    )
    readings, sets = {}, {}
    for what, part in parts.items():
        label = f"reading {what} images"
        readings[what] = part.images.read(
            options.form, keep=needed <= budget, progress=options.progress, label=label
        )
        parts[what] = _kept(what, part, readings[what], classes)
        sets[what] = _image_set(parts[what], readings[what], options)

    mean, std = channel_statistics(sets["training"].images)
    augmentation = Augmentation(mean=mean, std=std, flip=True, padding=size // 8)
    told = (*notes, *_memory_notes(needed, budget), *_reading_notes(list(readings.values()), size))
    return DataSet(
        name,
        classes,
        sets["training"],
        sets.get("test"),
        augmentation,
        told,
        _own_views(parts["training"].images, options),
    )


def _kept(what: str, part: Part, reading: Reading, classes: Sequence[str]) -> Part:
    """The images that could be read, some of each class."""
    if not reading.broken:
        return part
    labels = [part.labels[position] for position in reading.kept]
    lost = sorted(set(part.labels) - set(labels))
    if lost:
        who = ", ".join("the unlabeled part" if label == UNKNOWN else repr(classes[label]) for label in lost)
        left_out = sorted(set(range(len(part.labels))) - set(reading.kept))
        path, reason = reading.broken[[part.labels[position] for position in left_out].index(lost[0])]
        raise UserError(
            f"none of the {what} images of {who} can be read, the first because of: {reason} ({path})"
        )
    return Part(part.images.subset(reading.kept), labels)


def _image_set(part: Part, reading: Reading, options: Options) -> ImageSet:
    images: ImageSource = (
        StreamedImages(Stored(part.images, options.form), options.shape, workers=options.workers)
        if reading.images is None
        else ResidentImages(reading.images)
    )
    files = None if part.images.files is None else tuple(map(str, part.images.files))
    return ImageSet(images, torch.tensor(part.labels, dtype=torch.int64), files)


def _own_views(images: Originals, options: Options) -> OwnViews | None:
    if not options.transforms:
        return None
    return OwnViews(images, options.transforms, options.shape, worker_count(options.workers))


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
