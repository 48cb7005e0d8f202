"""A data set as a value: images, labels, class names, and how its images are augmented."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ssl_mix.augment.views import Augmentation, Views
from ssl_mix.datasets.formats import suffix_of, suffixes
from ssl_mix.datasets.images import ImageSource, ResidentImages, check_source
from ssl_mix.datasets.label_range import check_label_range, check_labels
from ssl_mix.datasets.own_views import OwnViews
from ssl_mix.errors import UserError

UNKNOWN = -1
SAMPLES, CHUNK = 64, 1000


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and their labels.

    Attributes:
        images: N images.
        labels: (N,) int64 on the CPU, -1 where unknown.
        files: N names of files, or None where the images have none.
        digests: N check sums, equal for copies: of the files, or of the pixels as they were given; None where
            they are unknown.
        foreign: (N,) bool, which images are known to be of no class of the data set, for measurements alone;
            None where nobody knows. Their label is -1.

    Raises:
        ValueError: the lengths differ, or the labels are not int64 on the CPU.

    Examples:
        >>> images = ResidentImages(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
        >>> len(ImageSet(images, torch.tensor([3, -1])).labels)  # a three, and nobody knows what
        2
    """

    images: ImageSource
    labels: Tensor
    files: Sequence[str] | None = None
    digests: tuple[bytes, ...] | None = None
    foreign: Tensor | None = None

    def __post_init__(self) -> None:
        check_source(self.images)
        check_labels(self.labels)
        parts = {name: getattr(self, name) for name in ("images", "labels", "files", "digests", "foreign")}
        lengths = {name: len(part) for name, part in parts.items() if part is not None}
        if len({*lengths.values()}) > 1:
            told = ", ".join(f"{count} {name}" for name, count in lengths.items())
            raise UserError(f"images, labels and what else there is of each must be equally many, got {told}")


@dataclass(frozen=True, eq=False)
class DataSet:
    """What a run learns from and is tested on.

    Attributes:
        name: of the data set.
        classes: names; a label is a position in it.
        train: images to learn from.
        test: images to evaluate on, or None.
        augmentation: normalizes and alters the images.
        notes: what the user must be told, such as files that were left out.
        own_views: how views that the user's transforms make are made, instead of by ``augmentation``.

    Raises:
        ValueError: a label is none of the classes, or one of a test image is unknown.

    Examples:
        >>> data = load_digits_data()
        >>> data.classes[:3], len(data.train.labels), len(data.test.labels)
        (('0', '1', '2'), 1437, 360)
    """

    name: str
    classes: tuple[str, ...]
    train: ImageSet
    test: ImageSet | None
    augmentation: Views
    notes: tuple[str, ...] = ()
    own_views: OwnViews | None = None

    def __post_init__(self) -> None:
        for part in (self.train, *(() if self.test is None else (self.test,))):
            if not isinstance(part, ImageSet):
                raise UserError(
                    f"the parts of a DataSet must be ImageSets, got {type(part).__name__}: "
                    "ImageSet(ResidentImages(images), labels) makes one, as_dataset((images, labels)) both"
                )
        count = len(self.classes)
        check_label_range(self.train.labels, count, "images to learn from", unknown=True)
        if self.test is not None:
            check_label_range(self.test.labels, count, "test images", unknown=False)

    @property
    def of_pixels(self) -> Augmentation:
        """The augmentation of images that are stored as pixels.

        Raises:
            ValueError: something else is stored: their features, signals, token ids.
        """
        if not isinstance(self.augmentation, Augmentation):
            raise UserError(f"{self.name} holds no images, and images are needed")
        return self.augmentation

    def fingerprint(self) -> str:
        """SHA-256 of the name, classes, image shape, labels, and the files' byte sizes and names from the
        folder on that holds all of a part; of images without files, their pixels: all that are in memory,
        else 64 spread evenly; and which views are the user's own."""
        digest = hashlib.sha256(repr((self.name, self.classes, self.train.images.shape)).encode())
        for part in (self.train, self.test):
            if part is not None:
                digest.update(part.labels.numpy().astype("<i8").tobytes())
                digest.update(f"({len(part.labels)}, [".encode())
                files = part.files or ()
                for number, entry in enumerate(zip(_below(files), map(_size, files), strict=True)):
                    digest.update(f"{', ' if number else ''}{entry!r}".encode())
                digest.update(b"])")
                if part.files is None:
                    for batch in part.images.batches(_looked_at(part.images), torch.device("cpu")):
                        digest.update(batch.numpy().tobytes())
        if self.own_views is not None:
            digest.update(repr(sorted(self.own_views.transforms)).encode())
        return digest.hexdigest()


@contextmanager
def files_needed(
    name: str, data_dir: Path, folder: str, by_hand: str, download: bool | None
) -> Iterator[None]:
    """Turn whatever goes wrong while a data set's files are read or fetched into one message that says what
    to do.

    Args:
        name: of the data set.
        data_dir: where ``folder`` is, or goes.
        folder: that holds the files.
        by_hand: what to do where a download is impossible.
        download: whether one is tried; None where there is none.

    Raises:
        ValueError: anything failed.
    """
    try:
        yield
    except UserError:  # says itself what is wrong
        raise
    except Exception as error:  # no network, no space, a bad checksum, a file that ends early
        if download is None:
            remedy = by_hand
        elif download:
            remedy = f"the download failed ({error}): {by_hand}"
        else:
            remedy = f"pass `download`, or `data_dir` with the folder that holds {folder}"
        place = data_dir / folder
        if any(suffix_of(file) in suffixes() for file in data_dir.glob("*/*")):
            remedy += f"; for the folders of images in {data_dir}, in place of {name}: `train={data_dir}`"
        raise UserError(
            f"expected the files of {name} in {place}, found none or damaged ones; {remedy}"
        ) from error


def _looked_at(images: ImageSource) -> tuple[Tensor, ...]:
    """Positions of the images whose pixels stand for all."""
    count = len(images) if isinstance(images, ResidentImages) else min(len(images), SAMPLES)
    return torch.split(torch.arange(count) * len(images) // count, CHUNK)


def _below(files: Sequence[str]) -> Iterator[str]:
    """The names of files from the folder on that holds them all, which may move."""
    parents = {os.path.dirname(os.path.abspath(file)) for file in files}
    start = len(os.path.join(os.path.commonpath(parents), "")) if parents else 0
    return (os.path.abspath(file)[start:].replace(os.sep, "/") for file in files)


def _size(file: str) -> int | None:
    try:
        return os.stat(file).st_size
    except OSError:
        return None
