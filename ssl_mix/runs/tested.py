"""The test images of a run, read without those that it learned from."""

import json
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.datasets import ImageSource
from ssl_mix.datasets.ahead import FilesAhead
from ssl_mix.datasets.assembly import scaled_notes
from ssl_mix.datasets.forms import read_form
from ssl_mix.datasets.listing import find_copies
from ssl_mix.datasets.matched_classes import match_test
from ssl_mix.datasets.originals import Form
from ssl_mix.datasets.packed import Paths
from ssl_mix.errors import UserError, counts_of, verb_for
from ssl_mix.runs.data_options import OWN, DataOptions, Progress
from ssl_mix.runs.folder import FILES
from ssl_mix.runs.reading import reading


class Tested(NamedTuple):
    """Images with labels.

    Attributes:
        images: N of them.
        labels: (N,) int64 in [0, C).
        notes: what the user must be told.
    """

    images: ImageSource
    labels: Tensor
    notes: tuple[str, ...] = ()


def read_test_part(
    options: DataOptions, form: Form, classes: tuple[str, ...], progress: Progress | None
) -> Tested:
    """The test part that the options name: of images of your own that part alone, wherever those are that
    were learned from, and of a data set with a name the images of your own that take its place.

    Args:
        options: of a run.
        form: how its images are stored.
        classes: of the run.
        progress: told how far reading the images is.

    Raises:
        ValueError: there is none, or one with other classes.
    """
    place = own_test(options) if options.source == OWN or options.test is not None else None
    if place is not None and not place.exists():
        raise UserError(f"the test images {place} cannot be found: name those to evaluate on with `test`")
    if place is not None:
        return read_test(place, form, classes, progress)
    data = options.load(progress) if options.source != OWN else None
    if data is None or data.test is None:
        raise UserError("this run has no test images: give `test=DIR` with one sub-folder per class")
    if data.classes != classes:
        raise UserError(f"expected the classes {', '.join(classes)}, found {', '.join(data.classes)}")
    return Tested(data.test.images, data.test.labels, data.notes)


def own_test(options: DataOptions) -> Path | None:
    """The folder or table of the test images of one's own, if there is one."""
    if options.test is not None:
        return Path(options.test)
    beside = Path(options.data_dir, "test")
    alone = options.data is not None and not any((options.train, options.labeled, options.table))
    return beside if alone and beside.is_dir() else None


def readable(images: ImageSource) -> tuple[Tensor, list[str]]:
    """After a pass over test images: the positions of those that could be read, and notes of the others.

    Raises:
        ValueError: none could be read.
    """
    if not isinstance(images, FilesAhead):
        return torch.arange(len(images)), []
    told = [f"left out {images.files[position]}: {why}" for position, why in sorted(images.broken.items())]
    if len(told) == len(images):
        raise UserError(f"none of the test images can be read: {told[0]}")
    return torch.tensor(images.kept), [*told, *scaled_notes(images.scaled)]


def learned_notes(folder: Path, tested: ImageSource) -> list[str]:
    """A note where test images are among those that the run in ``folder`` learned from, as the same files or
    by their bytes, as far as both are files that are there."""
    if not isinstance(tested, FilesAhead) or not (folder / FILES).is_file():
        return []
    try:
        with reading(folder / FILES):
            learned = Paths([str(file) for file in json.loads((folder / FILES).read_bytes())])
    except UserError:  # to evaluate takes no such list
        return []
    copies = find_copies(Paths(tested.files), learned)
    if not copies:
        return []
    count = counts_of(len(tested.files), "test image")
    return [
        f"{len(copies)} of {count} {verb_for(len(copies))} among the images that the run learned from, "
        f"{tested.files[min(copies)]} for one: accuracy on those says nothing of others"
    ]


def read_test(place: Path, form: Form, classes: tuple[str, ...], progress: Progress | None) -> Tested:
    """The images with labels of a folder or a table, of those classes.

    Raises:
        ValueError: there are no labels, or none of those classes.
    """
    found = read_form(place, "test", workers=0, progress=None)
    if found.labels is None or found.images.files is None:
        raise UserError(f"{place}: expected images with labels, got images alone")
    matched = match_test(found.labels, classes, str(place))
    files = [found.images.files[position] for position in matched.kept]
    images = FilesAhead(files, form, progress=progress, label="reading test images")
    return Tested(images, torch.tensor(matched.numbers), (*found.notes, *matched.notes))
