"""Your own data in whatever form they are, as a data set."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ssl_mix.datasets.assembly import MIN_SIZE, Options, Part, assemble_parts
from ssl_mix.datasets.class_names import Label, class_numbers, find_classes
from ssl_mix.datasets.copies import Drop
from ssl_mix.datasets.data import UNKNOWN, DataSet
from ssl_mix.datasets.decode import Fit
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.forms import Given, read_form
from ssl_mix.datasets.images import worker_count
from ssl_mix.datasets.joined import Joined
from ssl_mix.datasets.listing import find_copies
from ssl_mix.datasets.matched_classes import match_test
from ssl_mix.datasets.own_views import Transform, first_view
from ssl_mix.datasets.pixel_statistics import for_channels
from ssl_mix.errors import UserError, checking_kinds, counts_of, verb_for

SIZE = 32


@checking_kinds
def as_dataset(
    labeled: Any,
    unlabeled: Any = None,
    test: Any = None,
    *,
    classes: Sequence[str] | None = None,
    image_size: int | None = None,
    fit: Fit = "cut",
    weak: Transform | None = None,
    strong: Transform | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    workers: int | None = None,
    memory_budget: int | None = None,
    drop_copies: Drop = "none",
    cache_images: str | Path | None = None,
    progress: Progress | None = None,
    name: str = "given",
) -> DataSet:
    """Your own images, however you have them, as a data set that every algorithm here learns from.

    Each of the three parts may be

    - the path of a folder with one sub-folder of images per class; unlabeled ones lie flat or nested;
    - a list of files, those with labels as pairs ``(file, label)``;
    - a table with the columns "file" and "label": the path of a ``.csv`` or ``.tsv`` file, to whose folder
      its paths are relative, or a data frame of pandas; an empty label is unknown;
    - arrays ``(X, y)``, or ``X`` alone, of NumPy or PyTorch: (N, H, W), (N, H, W, C) or (N, C, H, W) with C
      of 1 or 3, uint8 or floats in [0, 1]; y holds whole numbers or names, -1 and "" are unknown;
    - a ``torch.utils.data.Dataset`` of ``(image, label)`` or of images alone, each a Pillow image or an array
      as above, of any size. Leave random transforms, normalization and cropping out of it: it is asked for
      an item more than once.

    Labeled images whose label is unknown become unlabeled ones. Unlabeled files that are labeled ones too, by
    their bytes, are left out. The images are kept in memory, upright and square, if they fit; others are read
    again and again in worker processes. They are augmented as natural images are; change that with
    ``dataclasses.replace(data.augmentation, flip=False, ...)``.

    A transform of your own (``weak``, ``strong``) takes the place of the augmentation for the views of its
    kind ("strong" and "strong2", drawn each by itself). It is called in worker processes with the image as it
    was given, not the stored one: a Pillow image of a file or a Dataset, upright, or a uint8 tensor (C, H, W)
    of an array; it gives a normalized float tensor (C, S, S), S being ``image_size``. Whatever it draws from
    torch, NumPy or Python's ``random`` is seeded, so that a run resumes to the bit with any number of
    workers. Evaluation sees the stored image, normalized by ``mean`` and ``std``: give those that your
    transforms use.

    Args:
        labeled: images with labels, some of each class.
        unlabeled: images without; labels that they have are ignored.
        test: images with labels to evaluate on.
        classes: names of all classes, in the order of whole-numbered labels. Default: the sub-folders, the
            Dataset's ``classes``, or the labels themselves, sorted.
        image_size: side in pixels at which images are stored, at least 8. Default: that of all images where
            they share a square one, else 32, of which a note tells; with own transforms, that of what they
            give.
        fit: how they become square: "cut" to the central square, or the whole image "squash".
        weak: makes the weak views instead of a flip and a crop.
        strong: makes the strong views instead of RandAugment and Cutout.
        mean: of each channel, in [0, 1], that normalization takes away; default: that of the images.
        std: deviation of each channel that normalization divides by; default: likewise.
        workers: processes that read Datasets and streamed images and call transforms, each time at most one
            per processor; default: as many, up to 8. 0 works in this process.
        memory_budget: bytes that images not in memory yet may take; default: half of the free memory.
        drop_copies: leave out training images that are test images too or in two classes, and all but one of
            several: "exact" by their bytes, "near" by what they look like (with imagehash).
        cache_images: folder for decoded images of files, which later runs read there.
        progress: told (what is done, images done, images in all).
        name: of the data set, for reports.

    Raises:
        ValueError: a part has none of these forms, is empty or holds something else than images, lengths
            differ, a label is out of range or of a class that only the test part has, or a transform gives
            something else.

    Examples:
        >>> images, labels = torch.zeros(4, 8, 8, dtype=torch.uint8), ["cat", "dog", "", ""]
        >>> data = as_dataset((images, labels))
        >>> data.classes, data.train.labels
        (('cat', 'dog'), tensor([ 0,  1, -1, -1]))
        >>> as_dataset("train", "unlabeled", image_size=8).train.labels
        tensor([ 0,  0,  1,  1, -1, -1])
    """
    count = worker_count(workers)
    values = {"labeled": labeled, "unlabeled": unlabeled, "test": test}
    parts = {
        part: read_form(value, part, workers=count, progress=progress)
        for part, value in values.items()
        if value is not None
    }
    notes = [note for part in parts.values() for note in part.notes]
    if "unlabeled" in parts:
        parts["unlabeled"], told = _unlabeled(parts["unlabeled"], parts["labeled"])
        notes += told
    names = find_classes(_labels(parts, "labeled"), classes or parts["labeled"].classes)
    channels = 1 if all(part.gray for part in parts.values()) else 3
    train, (tested, told) = _train(parts, names), _test(parts, names)
    notes += told
    own = {
        kind: transform for kind, transform in (("weak", weak), ("strong", strong)) if transform is not None
    }
    image_size = _made_size(train, own, channels, image_size)
    if image_size is None:
        image_size, told = _common_size(parts)
        notes += told
    cache = None if cache_images is None else Path(cache_images)
    options = Options(image_size, memory_budget, progress, fit, channels, workers, own, drop_copies, cache)
    data = assemble_parts(name, train, tested, names, notes, options)
    given = {"mean": mean, "std": std}
    wanted: Any = {key: for_channels(channels, key, v) for key, v in given.items() if v is not None}
    return dataclasses.replace(data, augmentation=dataclasses.replace(data.of_pixels, **wanted))


@checking_kinds
def load_table(
    table: Path,
    test: Path | None = None,
    unlabeled: Path | None = None,
    *,
    image_size: int = SIZE,
    fit: Fit = "cut",
    memory_budget: int | None = None,
    drop_copies: Drop = "none",
    cache_images: Path | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> DataSet:
    """Your own images in a table with the columns "file" and "label"; rows without a label are unlabeled.

    Args:
        table: a ``.csv`` or ``.tsv`` file, to whose folder its paths are relative.
        test: another one, or a folder with one sub-folder of test images per class.
        unlabeled: a folder of more images without labels.
        image_size: see ``as_dataset``, as the following.
        fit: "cut" or "squash".
        memory_budget: bytes.
        drop_copies: "none", "exact" or "near".
        cache_images: folder for decoded images.
        workers: processes that read images.
        progress: told how far it is.

    Raises:
        ValueError: a column is missing or unknown, or anything that ``as_dataset`` refuses.

    Examples:
        >>> Path("images.csv").read_text().split()
        ['file,label', 'train/cat/1.png,cat', 'train/dog/1.png,dog', 'unlabeled/1.png,']
        >>> load_table(Path("images.csv"), image_size=8).train.labels
        tensor([ 0,  1, -1])
    """
    if table.suffix.lower() not in (".csv", ".tsv"):
        raise UserError(f"expected a table in a .csv or .tsv file, got {table}")
    return as_dataset(
        table,
        unlabeled,
        test,
        image_size=image_size,
        fit=fit,
        memory_budget=memory_budget,
        drop_copies=drop_copies,
        cache_images=cache_images,
        workers=workers,
        progress=progress,
        name="table",
    )


def _labels(parts: Mapping[str, Given], part: str) -> list[Label]:
    labels = parts[part].labels
    if labels is None:
        raise UserError(f"{part}: expected images with labels, got images alone")
    return labels


def _unlabeled(part: Given, labeled: Given) -> tuple[Given, list[str]]:
    """The unlabeled part without labels and copies of labeled files, and notes."""
    notes = []
    if part.labels is not None and any(label is not None for label in part.labels):
        notes.append("the unlabeled images have labels, which are ignored")
    if part.images.files is not None and labeled.images.files is not None:
        files = part.images.files
        copies = find_copies(files, labeled.images.files)
        kept = [position for position in range(len(files)) if position not in copies]
        if not kept:
            raise UserError(
                f"unlabeled: each of {counts_of(len(files), 'image')} is labeled too (the same bytes)"
            )
        if copies:
            notes.append(
                f"{len(copies)} of {counts_of(len(files), 'unlabeled image')} {verb_for(len(copies))} "
                "labeled too (the same bytes): left out of the unlabeled part"
            )
            part = part._replace(images=part.images.subset(kept))
    return part._replace(labels=None), notes


def _common_size(parts: Mapping[str, Given]) -> tuple[int, list[str]]:
    """The side of all images, or 32 with a note."""
    sizes = set().union(*(part.images.sizes() for part in parts.values()))
    if not sizes:  # no file can be read, of which reading them tells
        return SIZE, []
    if len(sizes) == 1:
        width, height = next(iter(sizes))
        if width == height >= MIN_SIZE:
            return width, []
    (low, lower), (high, higher) = (tuple(map(pick, zip(*sizes, strict=True))) for pick in (min, max))
    found = f"{low}x{lower}" + (f" to {high}x{higher}" if (low, lower) != (high, higher) else "")
    return SIZE, [
        f"the images have {found} pixels and are stored at {SIZE}x{SIZE}: choose another side with "
        "`image_size`"
    ]


def _made_size(train: Part, own: Mapping[str, Transform], channels: int, size: int | None) -> int | None:
    """The side of what the transforms give; ``size`` where there are none."""
    for kind, transform in own.items():
        found = tuple(first_view(train.images, kind, transform, channels).shape[1:])
        size = found[0] if size is None else size
        if found != (size, size):
            raise UserError(
                f"{kind}: expected a transform that gives {size}x{size} pixels, as `image_size` or another "
                f"transform has it, got {found[0]}x{found[1]}"
            )
    return size


def _train(parts: Mapping[str, Given], names: tuple[str, ...]) -> Part:
    labeled = parts["labeled"]
    numbers = class_numbers(_labels(parts, "labeled"), names, "labeled")
    if "unlabeled" not in parts:
        return Part(labeled.images, numbers)
    unlabeled = parts["unlabeled"].images
    return Part(Joined([labeled.images, unlabeled]), numbers + [UNKNOWN] * len(unlabeled))


def _test(parts: Mapping[str, Given], names: tuple[str, ...]) -> tuple[Part | None, list[str]]:
    """The test part, and notes."""
    if "test" not in parts:
        return None, []
    numbered = any(isinstance(label, int) for label in _labels(parts, "labeled"))
    known = parts["test"].classes or (names if numbered else None)
    kept, numbers, notes = match_test(_labels(parts, "test"), names, known=known)
    images = parts["test"].images
    return Part(images if len(kept) == len(images) else images.subset(kept), numbers), notes
