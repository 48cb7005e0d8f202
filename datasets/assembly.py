"""From lists of images to a data set: read them, keep them or not, and tell what was wrong."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import psutil  # type: ignore[import-untyped]
import torch

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets.cache_sources import sources_of
from ssl_mix.datasets.copies import Drop, keys_of, without_copies
from ssl_mix.datasets.data import UNKNOWN, DataSet, ImageSet
from ssl_mix.datasets.decode import Fit, Scaled
from ssl_mix.datasets.decode_many import Progress, Reading
from ssl_mix.datasets.image_cache import read_cached
from ssl_mix.datasets.images import ImageSource, ResidentImages, StreamedImages, worker_count
from ssl_mix.datasets.mapped import MappedImages
from ssl_mix.datasets.near_copies import near_keys
from ssl_mix.datasets.originals import Files, Form, Originals, Stored
from ssl_mix.datasets.own_views import OwnViews, Transform
from ssl_mix.datasets.packed import Paths
from ssl_mix.datasets.pixel_statistics import channel_statistics
from ssl_mix.errors import UserError, check_choice, counts_of, verb_for

MIN_SIZE = 8
NAMED = 3


class Listing(NamedTuple):
    """Files and their labels, -1 where unknown."""

    files: Paths
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
        drop_copies: which copies are left out of the training images, see ``without_copies``.
        cache_images: folder for the decoded images of files, or None, see ``read_cached``.
    """

    image_size: int
    memory_budget: int | None
    progress: Progress | None
    fit: Fit = "cut"
    channels: int = 3
    workers: int | None = None
    transforms: Mapping[str, Transform] = MappingProxyType({})
    drop_copies: Drop = "none"
    cache_images: Path | None = None

    def check(self) -> None:
        """Raise where one of them is out of range."""
        check_choice("fit", self.fit, get_args(Fit))
        check_choice("drop_copies", self.drop_copies, get_args(Drop))
        if self.image_size < MIN_SIZE:
            raise UserError(f"image_size must be at least {MIN_SIZE}, got {self.image_size}")

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
    options.check()
    size = options.image_size
    parts = {"training": train} if test is None else {"training": train, "test": test}
    copied = sum(part.images.copied(options.form) for part in parts.values())
    needed = copied * options.channels * size**2
    budget = (
        psutil.virtual_memory().available // 2 if options.memory_budget is None else options.memory_budget
    )
    readings, sets, cached, uncached = {}, {}, [], []
    for what, part in parts.items():
        label = f"reading {what} images"
        sources = None if options.cache_images is None else sources_of(part.images)
        if options.cache_images is not None and sources is not None:
            readings[what], note = read_cached(
                sources, options.form, options.cache_images, what, options.progress
            )
            cached.append(note)
        else:
            readings[what] = part.images.read(
                options.form, keep=needed <= budget, progress=options.progress, label=label
            )
            if options.cache_images is not None:
                uncached.append(f"{what} images have no files: `cache_images` keeps none of them")
        parts[what] = _kept(what, part, readings[what], classes)
        sets[what] = _image_set(parts[what], readings[what], options)
    told = [
        *notes,
        *(cached or _memory_notes(needed, budget)),
        *_reading_notes(list(readings.values()), size),
        *_glance_notes(sets),
        *uncached,
    ]
    if options.drop_copies != "none":
        whole = len(parts["training"].labels)
        parts["training"], reading = _without_copies(
            parts["training"], readings["training"], sets, classes, options
        )
        sets["training"] = _image_set(parts["training"], reading, options)
        told.append(_copies_note(whole - len(sets["training"].labels)))

    mean, std = channel_statistics(sets["training"].images)
    augmentation = Augmentation(mean=mean, std=std, flip=True, padding=size // 8)
    return DataSet(
        name,
        classes,
        sets["training"],
        sets.get("test"),
        augmentation,
        tuple(told),
        _own_views(parts["training"].images, options),
    )


def _copies_note(count: int) -> str:
    return f"left out {counts_of(count, 'training image')} that {verb_for(count, 'is a copy', 'are copies')}"


def _kept(what: str, part: Part, reading: Reading, classes: Sequence[str]) -> Part:
    """The images that could be read, some of each class."""
    if not reading.broken:
        return part
    labels = [part.labels[position] for position in reading.kept]
    lost = sorted(set(part.labels) - set(labels))
    if lost:
        left_out = sorted(set(range(len(part.labels))) - set(reading.kept))
        path, reason = reading.broken[[part.labels[position] for position in left_out].index(lost[0])]
        raise UserError(
            f"none of the {what} images of {_named(lost, classes)} can be read, the first because of: "
            f"{reason} ({path})"
        )
    return Part(part.images.subset(reading.kept), labels)


def _image_set(part: Part, reading: Reading, options: Options) -> ImageSet:
    images: ImageSource = (
        StreamedImages(Stored(part.images, options.form), options.shape, workers=options.workers)
        if reading.images is None
        else reading.images
        if isinstance(reading.images, MappedImages)
        else ResidentImages(reading.images)
    )
    files = None if part.images.files is None else part.images.files.names
    digests = None if reading.digests is None else tuple(reading.digests)
    return ImageSet(images, torch.tensor(part.labels, dtype=torch.int64), files, digests)


def _without_copies(
    part: Part, reading: Reading, sets: Mapping[str, ImageSet], classes: Sequence[str], options: Options
) -> tuple[Part, Reading]:
    """The training images without copies."""
    if options.drop_copies == "near":
        keys: list[Any] = near_keys([found.images for found in sets.values()])
    else:
        keys = [keys_of(found) for found in sets.values()]
    kept = without_copies(keys[0], part.labels, keys[1] if len(keys) > 1 else ())
    labels = [part.labels[position] for position in kept]
    if lost := set(part.labels) - set(labels):
        raise UserError(f"`drop_copies={options.drop_copies}` leaves no image of {_named(lost, classes)}")
    images = reading.images
    if images is not None:
        images = images.chosen(kept) if isinstance(images, MappedImages) else images[torch.tensor(kept)]
    digests = None if reading.digests is None else [reading.digests[position] for position in kept]
    return Part(part.images.subset(kept), labels), reading._replace(images=images, digests=digests)


def _named(labels: Iterable[int], classes: Sequence[str]) -> str:
    return ", ".join(
        "the unlabeled part" if label == UNKNOWN else repr(classes[label]) for label in sorted(labels)
    )


def _own_views(images: Originals, options: Options) -> OwnViews | None:
    if not options.transforms:
        return None
    return OwnViews(images, options.transforms, options.shape, worker_count(options.workers))


def _memory_notes(needed: int, budget: int) -> list[str]:
    if needed <= budget:
        return []
    return [
        f"the images need {needed / 2**20:,.1f} MiB, more than the {budget / 2**20:,.1f} MiB they may "
        "take: they are read from their files again and again, which is slower; `cache_images=DIR` decodes "
        "them once"
    ]


def _glance_notes(sets: Mapping[str, ImageSet]) -> list[str]:
    """A note of files of which only the first bytes were looked at."""
    count = sum(len(found.labels) for found in sets.values() if found.files and found.digests is None)
    if not count:
        return []
    return [
        f"of {counts_of(count, 'file')} only the first bytes were looked at, which `ssl-mix check` reads to "
        "their ends; copies were not looked for"
    ]


def _reading_notes(readings: Sequence[Reading], size: int) -> list[str]:
    notes = []
    broken = [entry for reading in readings for entry in reading.broken]
    enlarged = sum(reading.enlarged for reading in readings)
    if broken:
        named = ", ".join(f"{path} ({reason})" for path, reason in broken[:NAMED])
        more = f" and {len(broken) - NAMED} more" if len(broken) > NAMED else ""
        what = counts_of(len(broken), "file")
        notes.append(f"left out {what} that cannot be read as images: {named}{more}")
    notes += scaled_notes(sum((Counter(reading.scaled) for reading in readings), Counter[Scaled]()))
    if enlarged:
        are, were = verb_for(enlarged), verb_for(enlarged, "was", "were")
        notes.append(f"{counts_of(enlarged, 'image')} {are} smaller than {size}x{size} and {were} enlarged")
    return notes


def scaled_notes(scaled: Mapping[Scaled, int]) -> list[str]:
    """A note for each kind of samples of more than 8 bits: how many images have such, and what is white in
    them."""
    notes = []
    for samples in sorted({found.samples for found in scaled}):
        found = {kind: count for kind, count in sorted(scaled.items()) if kind.samples == samples}
        told = ", ".join(
            f"{kind.black} is black and {kind.white} white in {count}" for kind, count in found.items()
        )
        count = sum(found.values())
        have = verb_for(count, "has", "have")
        notes.append(f"{counts_of(count, 'image')} {have} {samples}, scaled to 8 bits: {told}")
    return notes
