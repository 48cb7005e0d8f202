"""Your own images in whatever form they are, without becoming a data set."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import psutil  # type: ignore[import-untyped]
import torch

from ssl_mix.datasets.class_names import Label, plain_labels
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.forms import read_form
from ssl_mix.datasets.images import ImageSource, ResidentImages, StreamedImages, worker_count
from ssl_mix.datasets.originals import Form, Stored
from ssl_mix.datasets.pixels import is_array
from ssl_mix.datasets.tensors import ResidentTensors
from ssl_mix.errors import UserError, counts_of


class ReadImages(NamedTuple):
    """Images as they are stored, and their labels where they have some."""

    source: ImageSource
    labels: list[Label] | None
    classes: tuple[str, ...] | None = None  # names of whole-numbered labels


def read_tensors(given: Any, dtype: torch.dtype, shape: Sequence[int], where: str) -> ReadImages:
    """Inputs that are no images, (N, ...) or with their labels (X, y), for a run that has learned from such.

    Raises:
        ValueError: they have another shape or kind of number than those.
    """
    inputs, labels = given if isinstance(given, tuple | list) and len(given) == 2 else (given, None)
    source = ResidentTensors(inputs)
    if (source.images.dtype, source.shape) != (dtype, tuple(shape)):
        raise UserError(
            f"{where}: expected {dtype} (N, {', '.join(map(str, shape))}), as the run has learned from, got "
            f"{source.images.dtype} {tuple(source.images.shape)}"
        )
    return ReadImages(source, None if labels is None else plain_labels(labels, where))


def read_images(
    images: Any, form: Form, where: str = "images", *, progress: Progress | None = None
) -> ReadImages:
    """Images in any form that ``as_dataset`` takes, read when they are wanted where they need more than half
    of the free memory.

    Args:
        images: a folder, files, a table, arrays or a Dataset.
        form: how they are stored.
        where: what they are called in messages; "unlabeled" for a folder without sub-folders.
        progress: told how far reading them is.

    Raises:
        ValueError: they have none of the forms, or one of them cannot be read.
    """
    _check_several(images, form, where)
    found = read_form(images, where, workers=worker_count(None), progress=progress)
    keep = len(found.images) * form.channels * form.size**2 <= psutil.virtual_memory().available // 2
    reading = found.images.read(form, keep=keep, progress=progress, label=f"reading {where} images")
    if reading.broken:
        path, reason = reading.broken[0]
        raise UserError(
            f"{where}: {counts_of(len(reading.broken), 'image')} cannot be read, the first because of: "
            f"{reason} ({path})"
        )
    shape = form.channels, form.size, form.size
    source: ImageSource = (
        StreamedImages(Stored(found.images, form), shape)
        if reading.images is None
        else ResidentImages(reading.images)
    )
    return ReadImages(source, found.labels, found.classes)


def _check_several(images: Any, form: Form, where: str) -> None:
    """Raise where (N, H, W) looks like one image in color, for a run of such."""
    if is_array(images) and images.ndim == 3 and form.channels == 3 and 3 in (len(images), images.shape[2]):
        raise UserError(
            f"{where}: {tuple(images.shape)} looks like one image in color: give `images[None]`, or gray "
            "images as (N, H, W, 1)"
        )
