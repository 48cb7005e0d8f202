"""Tables of image files and their labels: CSV files and data frames."""

import codecs
import csv
import io
import os
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ssl_mix.datasets.class_names import Label, column_label, is_filled
from ssl_mix.errors import UserError, counts_of, verb_for

FILE, LABEL = "file", "label"
SUGGESTED = ("class", "confidence", "score")  # beside them in what ``ssl-mix suggest`` writes
DELIMITERS = {".csv": ",;\t", ".tsv": "\t"}  # the one that the first line has most of
NAMED = 3


def is_table(value: Any) -> bool:
    """Whether it is the path of a table, or a data frame as that of pandas."""
    if isinstance(value, str | Path):
        return Path(value).suffix.lower() in DELIMITERS
    return hasattr(value, "columns") and hasattr(value, "__getitem__")


def read_table(table: Any, where: str) -> tuple[list[Path], list[Label]]:
    """The files and the labels of a table with the columns "file" and "label".

    Args:
        table: path of a ``.csv`` or ``.tsv`` file, to whose folder its paths are relative, or a data frame
            with paths relative to the current folder. Without a column "label", or where that is empty,
            labels are unknown. Columns that ``ssl-mix suggest`` adds are passed over.
        where: which part it is, for messages.

    Raises:
        ValueError: it cannot be read, has other columns or no row, or a file is missing or named twice.
    """
    if isinstance(table, str | Path):
        where, folder = str(table), Path(table).parent
        columns = read_columns(Path(table))
    else:
        folder, columns = Path(), {str(name): list(table[name]) for name in table.columns}
    unknown = [name for name in columns if name not in (FILE, LABEL, *SUGGESTED)]
    if unknown or FILE not in columns:
        wrong = f"unknown column {unknown[0]!r}" if unknown else f"no column {FILE!r}"
        raise UserError(f"{where}: {wrong}, expected the columns {FILE!r} and {LABEL!r}")
    files = [_place(folder, str(name)) if is_filled(name) else None for name in columns[FILE]]
    if None in files:
        raise UserError(f"{where}: row {files.index(None) + 1} names no file")
    labels = columns.get(LABEL, [None] * len(files))
    return check_files([file for file in files if file], where), [
        column_label(label, where) for label in labels
    ]


def _place(folder: Path, name: str) -> Path:
    """Where a file is whose name may have been written on Windows, or with accents in other characters than
    on the disk."""
    as_given = folder / name
    if name.isascii() and "\\" not in name:
        return as_given
    slashed = folder / name.replace("\\", "/")
    forms = (Path(unicodedata.normalize(form, str(slashed))) for form in ("NFC", "NFD"))
    return next((place for place in (as_given, slashed, *forms) if place.exists()), as_given)


def check_files(files: Iterable[Path], where: str) -> list[Path]:
    """The files as they are.

    Raises:
        ValueError: there is none, or some are not there, no regular files or named twice.
    """
    listed = list(files)
    if not listed:
        raise UserError(f"{where}: no image, expected some")
    missing = [file for file in listed if not file.is_file()]
    if missing:
        raise UserError(
            f"{where}: {len(missing)} of {counts_of(len(listed), 'file')} {verb_for(len(missing))} not there "
            f"or not regular: {_named(missing)}"
        )
    places = _places(listed)
    first = {place: number for number, place in reversed(list(enumerate(places)))}
    twice = [file for number, file in enumerate(listed) if first[places[number]] != number]
    if twice:
        raise UserError(
            f"{where}: {len(twice)} of {counts_of(len(listed), 'file')} {verb_for(len(twice))} named twice: "
            f"{_named(twice)}"
        )
    return listed


def _places(files: Sequence[Path]) -> list[str]:
    """Where files are, links followed; each folder is looked up once."""
    folders = {folder: os.path.realpath(folder) for folder in {os.path.dirname(file) for file in files}}
    return [
        os.path.realpath(file)
        if os.path.islink(file) or file.name == ".."
        else os.path.join(folders[os.path.dirname(file)], file.name)
        for file in files
    ]


def read_columns(path: Path) -> dict[str, list[Any]]:
    """The columns of a ``.csv`` or ``.tsv`` file by their names in small letters, without spaces around the
    cells.

    Spreadsheets write commas, semicolons or tabs, in UTF-8, UTF-16 or the code page of Windows.

    Raises:
        ValueError: it cannot be read, a row has another number of cells, or a column is named twice.
    """
    try:
        text = _text(path)
        delimiter = max(DELIMITERS[path.suffix.lower()], key=text.partition("\n")[0].count)
        header, *rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if row]
    except (ValueError, csv.Error) as error:  # no line at all, or no text
        raise UserError(
            f"expected a table of {FILE} and {LABEL} in {path}, cannot read it: {error}"
        ) from error
    except OSError as error:
        raise UserError(f"expected a table in {path}, cannot read it: {error.strerror}") from error
    uneven = [number for number, row in enumerate(rows, 1) if len(row) != len(header)]
    if uneven:
        raise UserError(
            f"{path}: row {uneven[0]} has {counts_of(len(rows[uneven[0] - 1]), 'cell')}, expected "
            f"{len(header)}"
        )
    header = [name.strip().lower() for name in header]
    if len(set(header)) < len(header):
        raise UserError(f"{path}: a column is named twice, got {', '.join(map(repr, header))}")
    return {name: [row[place].strip() for row in rows] for place, name in enumerate(header)}


def _text(path: Path) -> str:
    """What a text file holds, in whichever of the usual encodings it is."""
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        warnings.warn(f"{path} is no UTF-8: read as Windows-1252", stacklevel=4)
        return content.decode("cp1252")


def _named(files: Sequence[Path]) -> str:
    more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
    return ", ".join(map(str, files[:NAMED])) + more
