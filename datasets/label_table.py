"""A table of labels for images that a run knows without, as ``ssl-mix suggest`` writes and a person fills
in."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ssl_mix.datasets.class_names import composed, plain_name
from ssl_mix.datasets.data import DataSet
from ssl_mix.datasets.splits import Split
from ssl_mix.datasets.tables import FILE, LABEL, is_table, read_columns
from ssl_mix.errors import UserError, counts_of, nearest, told_of, verb_for

INDEX = "index"
NAMED = 3


def read_added_labels(table: Path, data: DataSet, split: Split) -> dict[int, int]:
    """The classes of unlabeled images, by their positions. Rows without a label are passed over, and so are
    images that have this label already.

    Args:
        table: a ``.csv`` or ``.tsv`` file with the columns "label" and "file", the path of an image, absolute
            or relative to the current folder or to that of the table; or "index", for images that are no
            files. Other columns are passed over.
        data: the images that the run learns from.
        split: which of them are labeled.

    Raises:
        ValueError: a column is missing, no label is filled in, a class or an image is unknown, or an image is
            named twice, held out, or labeled otherwise.
    """
    if not is_table(table):
        raise UserError(f"expected a table in a .csv or .tsv file, got {table}")
    columns, key = read_columns(table), INDEX if data.train.files is None else FILE
    for name in (key, LABEL):
        if name not in columns:
            raise UserError(f"{table}: no column {name!r}, found {', '.join(map(repr, columns))}")
    rows = [(name, label) for name, label in zip(columns[key], columns[LABEL], strict=True) if label]
    if not rows:
        raise UserError(f"{table}: no row has a label: fill in some of the column {LABEL!r}")
    rows = [(name, plain_name(label)) for name, label in rows]
    classes = {name: number for number, name in enumerate(data.classes)}
    strange = [label for _, label in rows if label not in classes]
    if strange:
        known = nearest(strange[0], classes) or f" Known ones: {', '.join(data.classes[:10])}"
        raise UserError(
            f"{table}: {counts_of(len(strange), 'label')} {verb_for(len(strange))} no class of the run, "
            f"{_named(strange)}.{known}"
        )
    names = [name for name, _ in rows]
    places = _places(names, table, data)
    _refuse(table, "name no image that the run learns from", names, [place is None for place in places])
    found = {
        place: classes[label] for place, (_, label) in zip(places, rows, strict=True) if place is not None
    }
    first = {place: at for at, place in reversed([*enumerate(places)])}
    twice = [first[place] != at for at, place in enumerate(places)]
    _refuse(table, "name an image for the second time", names, twice)
    return _new(table, found, data, split)


def _places(names: Sequence[str], table: Path, data: DataSet) -> list[int | None]:
    """The positions of the images that cells name, None where there is none."""
    if data.train.files is None:
        known = {str(position): position for position in range(len(data.train.labels))}
        return [known.get(name) for name in names]
    known = {_place(file): position for position, file in enumerate(data.train.files)}
    beside = (known.get(_place(table.parent / name)) for name in names)
    return [known.get(_place(name), other) for name, other in zip(names, beside, strict=True)]


def _place(file: str | Path) -> str:
    return composed(os.path.abspath(file))


def _new(table: Path, found: Mapping[int, int], data: DataSet, split: Split) -> dict[int, int]:
    """Those labels that the run does not have."""
    names = [str(at) if data.train.files is None else data.train.files[at] for at in found]
    held_out, labeled = {*split.validation}, {*split.labeled}
    _refuse(table, "name an image that is held out", names, [at in held_out for at in found])
    other = [at in labeled and int(data.train.labels[at]) != label for at, label in found.items()]
    _refuse(table, "give an image another label than it has", names, other)
    new = {at: label for at, label in found.items() if at not in labeled}
    if not new:
        raise UserError(f"{table}: the run has every one of its labels already")
    return new


def _refuse(table: Path, what: str, names: Sequence[str], wrong: Sequence[bool]) -> None:
    named = [name for name, is_wrong in zip(names, wrong, strict=True) if is_wrong]
    if named:
        told = told_of(len(named), len(names), "row", what, "with a label")
        raise UserError(f"{table}: {told}, {_named(named)}")


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more
