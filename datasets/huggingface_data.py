"""Data sets of Hugging Face's ``datasets`` (parquet, arrow): by name, in a folder, or as an object."""

import importlib
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from ssl_mix.datasets.class_names import Label, plain_labels
from ssl_mix.datasets.stamps import Stamp, stamp_of
from ssl_mix.errors import UserError, counts_of

PREFIX = "hf:"
SPLITS = {
    "labeled": ("train",),
    "unlabeled": ("unlabeled", "unsupervised", "train"),
    "test": ("test", "validation"),
}
LABELS = ("label", "labels", "fine_label", "class")
SAVED = ("state.json", "dataset_dict.json")  # of ``save_to_disk``


class Table(NamedTuple):
    """The images of a data set, their labels and the names of those, None where it has none."""

    images: "TableImages"
    labels: list[Label] | None
    classes: tuple[str, ...] | None


class TableImages:
    """The images of a column; ``Contents``.

    Args:
        table: a ``datasets.Dataset``.
        column: that of its images.
    """

    def __init__(self, table: Any, column: str) -> None:
        image = _library().Image(decode=False)
        self.table, self.column = table.select_columns([column]).cast_column(column, image), column

    def __len__(self) -> int:
        return len(self.table)

    def name(self, position: int) -> str:
        """See ``Contents``."""
        return f"{self.column} {position}"

    def content(self, position: int) -> bytes:
        """See ``Contents``."""
        value = self.table[position][self.column]
        if value["bytes"] is not None:
            return bytes(value["bytes"])
        with open(value["path"], "rb") as file:
            return file.read()

    def key(self, position: int) -> str:
        """See ``Contents``; the library has a check sum of each table."""
        return f"{PREFIX}{self.table._fingerprint} {position}"

    def stamps(self, positions: Sequence[int]) -> list[Stamp]:
        """See ``Contents``: those of the files of images that are not in the table."""
        path = f"{self.column}.path"
        names = list(self.table.flatten().select_columns([path])[path])
        return [stamp_of(names[position] or "") for position in positions]


def is_table_of_huggingface(value: object) -> bool:
    """Whether it is a ``datasets.Dataset``."""
    return type(value).__module__.partition(".")[0] == "datasets" and hasattr(value, "features")


def open_table(name: str, where: str) -> Any:
    """The data set that ``hf:NAME`` or ``hf:NAME@SPLIT`` means: a folder or a name of the hub.

    Args:
        name: with its prefix; NAME is a folder that ``save_to_disk`` made, a folder of parquet or image
            files, or a name.
        where: "labeled", "unlabeled" or "test", whose usual split is taken where none is named.

    Raises:
        ValueError: the library is missing, or the data set or its split.
    """
    library = _library()
    place, _, split = name.removeprefix(PREFIX).partition("@")
    try:
        saved = any(os.path.exists(os.path.join(place, file)) for file in SAVED)
        found = library.load_from_disk(place) if saved else library.load_dataset(place)
    except Exception as error:  # no network, no such name, files of another kind
        raise UserError(f"{where}: cannot load {name}: {' '.join(str(error).split())}") from error
    if not isinstance(found, dict):
        return found
    wanted = (split,) if split else SPLITS[where]
    chosen = next((part for part in wanted if part in found), None)
    if chosen is None:
        raise UserError(
            f"{where}: {name} has the splits {', '.join(found)}, expected {' or '.join(wanted)}: name one, "
            f"{PREFIX}{place}@{next(iter(found))}"
        )
    return found[chosen]


def read_huggingface(table: Any, where: str) -> Table:
    """The images and labels of a ``datasets.Dataset``.

    Args:
        table: with one column of images, and maybe one of labels ("label", or of the type ClassLabel).
        where: which part it is, for messages.

    Raises:
        ValueError: it has no or several columns of images, or is empty.
    """
    kinds = {name: type(feature).__name__ for name, feature in table.features.items()}
    images = [name for name, kind in kinds.items() if kind == "Image"]
    if len(images) != 1 or not len(table):
        raise UserError(
            f"{where}: expected rows with one column of images, got {counts_of(len(table), 'row')} of {kinds}"
        )
    named = [name for name, kind in kinds.items() if kind == "ClassLabel"]
    column = next((name for name in (*LABELS, *named) if name in kinds), None)
    if column is None:
        return Table(TableImages(table, images[0]), None, None)
    classes = getattr(table.features[column], "names", None)
    labels = plain_labels(list(table.select_columns([column])[column]), where)
    return Table(TableImages(table, images[0]), labels, None if classes is None else tuple(classes))


def _library() -> Any:
    try:
        library = importlib.import_module("datasets")
        _ = library.load_dataset
    except (ImportError, AttributeError) as error:
        raise UserError(
            "data sets of Hugging Face are read by: pip install 'ssl-mix[huggingface]'"
        ) from error
    return library
