"""The forms in which somebody may have images: folders, lists of files, tables, arrays, Datasets of
PyTorch."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from ssl_mix.datasets.assembly import scaled_notes
from ssl_mix.datasets.class_folders import check_classes, list_classes
from ssl_mix.datasets.class_names import Label, plain_label, plain_labels
from ssl_mix.datasets.decode_many import Progress
from ssl_mix.datasets.encoded import Encoded
from ssl_mix.datasets.formats import others_note
from ssl_mix.datasets.huggingface_data import PREFIX, is_table_of_huggingface, open_table, read_huggingface
from ssl_mix.datasets.instead import instead_of
from ssl_mix.datasets.listing import check_folder, look_through
from ssl_mix.datasets.originals import Arrays, Files, Originals
from ssl_mix.datasets.pixels import as_images, is_array
from ssl_mix.datasets.tables import check_files, is_table, read_table
from ssl_mix.datasets.tar_shards import read_shards, shards_at
from ssl_mix.datasets.torch_items import is_dataset, look_at
from ssl_mix.errors import UserError, counts_of
from ssl_mix.shell import at_home

FORMS = (
    "a folder, a list of files or images or of (one, label), a table (.csv, .tsv or a data frame), (X, y), a "
    "Dataset, tar archives or hf:NAME"
)


class Given(NamedTuple):
    """One part of somebody's data.

    Attributes:
        images: as they were given.
        labels: one for each, or None where there are none at all.
        classes: names that came with them, or None.
        gray: whether all are gray arrays or Dataset items; files are read in color.
        notes: what the user must be told.
    """

    images: Originals
    labels: list[Label] | None
    classes: tuple[str, ...] | None = None
    gray: bool = False
    notes: tuple[str, ...] = ()


def read_form(value: Any, where: str, *, workers: int, progress: Progress | None) -> Given:
    """Whatever the user gave as one part.

    Args:
        value: in one of ``FORMS``.
        where: "labeled", "unlabeled" or "test".
        workers: processes that read Datasets.
        progress: told how far looking at Datasets is.

    Raises:
        ValueError: it has none of the forms, is empty, or something in it is wrong.
    """
    value = at_home(value)
    if is_table(value):
        files, labels = read_table(value, where)
        return Given(Files(files), labels)
    if isinstance(value, str | Path) and str(value).startswith(PREFIX):
        value = open_table(str(value), where)
    if is_table_of_huggingface(value):
        table = read_huggingface(value, where)
        return Given(Encoded(table.images), table.labels, table.classes)
    if isinstance(value, str | Path):
        if archives := shards_at(str(value)):
            shards = read_shards(archives, where)
            known = any(label is not None for label in shards.labels)
            return Given(Encoded(shards.images), shards.labels if known else None)
        return _folder(Path(value), where)
    value = _entries(value, where)
    if is_array(value):
        return _arrays(value, None, where)
    if isinstance(value, tuple) and value and is_array(value[0]) and (len(value) == 2 or value[0].ndim > 3):
        if len(value) != 2:
            raise UserError(f"{where}: expected arrays (X, y) or X alone, got {len(value)} of them")
        images, labels = value
        return _arrays(images, labels, where)
    if isinstance(value, tuple | list) and not any(map(_is_picture, value[:1])):
        return _listed(value, where)
    if is_dataset(value):
        seen = look_at(value, where, workers=workers, progress=progress)
        return Given(
            seen.images, seen.labels, seen.classes, seen.gray, notes=tuple(scaled_notes(seen.scaled))
        )
    found = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
    raise UserError(f"{where}: expected {FORMS}, got {found}: {instead_of(value)}")


def _entries(value: Any, where: str) -> Any:
    """A list for names in a column of a data frame or in an array, and a list of pairs for (X, y) where X is
    a list of files or images; anything else as it is."""
    if getattr(value, "ndim", 0) == 1 and getattr(getattr(value, "dtype", None), "kind", "") in ("O", "U"):
        return value.tolist()
    if not isinstance(value, tuple | list) or len(value) != 2:
        return value
    images, labels = (_entries(part, where) for part in value)
    if isinstance(value, list) and is_array(images) and getattr(labels, "ndim", 1) == 1:
        return images, labels
    if not isinstance(value, tuple) or not isinstance(images, list):
        return value
    found = plain_labels(labels, where)
    if len(found) != len(images):
        raise UserError(f"{where}: expected as many labels as images, got {len(found)} and {len(images)}")
    return list(zip(images, found, strict=True))


def _is_picture(entry: Any) -> bool:
    """Whether an entry of a list is an image, or one with its label."""
    image = entry[0] if isinstance(entry, tuple | list) and entry else entry
    return isinstance(image, Image.Image) or is_array(image)


def _folder(folder: Path, where: str) -> Given:
    if where == "unlabeled":
        check_folder(folder)
        found = look_through(folder)
        notes = (*found.notes, *others_note(found.others, folder))
        if not found.images:
            raise UserError("; ".join([f"{folder}: no image, expected some", *notes]))
        return Given(Files(found.images), None, notes=notes)
    members, told = list_classes(folder)
    if where == "labeled":
        check_classes(members, folder)
    labels: list[Label] = [name for name, files in members.items() for _ in files]
    names = chain.from_iterable(files.names for files in members.values())
    return Given(Files(names), labels, tuple(members), notes=tuple(told))


def _arrays(images: Any, labels: Any, where: str) -> Given:
    pixels = as_images(images, where)
    if not len(pixels):
        raise UserError(f"{where}: no image, expected some")
    gray = pixels.shape[1] == 1
    if labels is None:
        return Given(Arrays(pixels), None, gray=gray)
    found = plain_labels(labels, where)
    if len(found) != len(pixels):
        raise UserError(f"{where}: expected as many labels as images, got {len(found)} and {len(pixels)}")
    return Given(Arrays(pixels), found, gray=gray)


def _listed(entries: Sequence[Any], where: str) -> Given:
    """Files, or pairs of a file and its label."""
    paired = [isinstance(entry, tuple | list) and len(entry) == 2 for entry in entries]
    if any(paired) and not all(paired):
        raise UserError(
            f"{where}: expected only files or only (file, label), got {counts_of(sum(paired), 'pair')}"
        )
    files = [entry[0] for entry in entries] if any(paired) else list(entries)
    wrong = [file for file in files if not isinstance(file, str | Path)]
    if wrong:
        raise UserError(
            f"{where}: expected {FORMS}, got a list with {type(wrong[0]).__name__}: {instead_of(wrong[0])}"
        )
    labels = [plain_label(entry[1], where) for entry in entries] if any(paired) else None
    return Given(Files(check_files(map(Path, files), where)), labels)
