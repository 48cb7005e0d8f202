"""Labels as users give them, whole numbers or names, and the classes that they stand for."""

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import count, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssl_mix.datasets.data import UNKNOWN
from ssl_mix.errors import UserError

Label = int | str | None  # None where it is unknown
NAMED = 3


def composed(name: str) -> str:
    """A name with each letter and its accents in one character, as it looks: disks of macOS have two."""
    return unicodedata.normalize("NFC", name)


def plain_name(name: str) -> str:
    """The name of a class as it looks, without space around it."""
    return composed(name).strip()


def plain_label(value: Any, where: str) -> Label:
    """One label as a Python number or name; None, an empty name and -1, written out too, are unknown ones.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(value, Tensor | np.ndarray | np.generic) and value.ndim == 0:
        value = value.item()
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return None if (name := plain_name(value)) in ("", str(UNKNOWN)) else name
    if not isinstance(value, int) or isinstance(value, bool):
        raise UserError(
            f"{where}: expected labels that are whole numbers or names, got {value!r} of type "
            f"{type(value).__name__}"
        )
    if value < UNKNOWN:
        raise UserError(f"{where}: label {value} is out of range, expected 0, 1, ..., or -1 where unknown")
    return None if value == UNKNOWN else value


def is_filled(value: Any) -> bool:
    """Whether a cell is filled; data frames leave NaN, NaT or NA in others, which do not equal themselves."""
    if value is None or type(value).__name__ == "NAType":  # of which even a comparison is unknown
        return False
    return bool(value != "" and value == value)


def column_label(value: Any, where: str) -> Label:
    """A label; data frames turn whole numbers into floats where some are missing."""
    if not is_filled(value):
        return None
    whole = isinstance(value, float) and value.is_integer()
    return plain_label(int(value) if whole else value, where)


def plain_labels(values: Any, where: str) -> list[Label]:
    """Labels in an array, a tensor or any sequence, in which some may be missing as in a data frame.

    Raises:
        ValueError: it has several dimensions, or a label is neither a whole number nor a name.
    """
    if getattr(values, "ndim", 1) != 1:
        raise UserError(f"{where}: expected labels of shape (N,), got {tuple(values.shape)}")
    if isinstance(values, Tensor) and (values.is_meta or values.layout != torch.strided):
        raise UserError(
            f"{where}: expected labels that are there, got a tensor without numbers, or a sparse one"
        )
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise UserError(f"{where}: expected labels of shape (N,), got {type(values).__name__}")
    listed = values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
    read = plain_label if all(map(is_filled, listed)) else column_label
    return [read(value, where) for value in listed]


def find_classes(labels: Sequence[Label], known: Sequence[str] | None) -> tuple[str, ...]:
    """The names of the classes.

    Args:
        labels: of the labeled part.
        known: names of all classes, in the order of whole-numbered labels; None where they must be found out.
            Numbers without names are named "0", "1", ..., names are sorted.

    Raises:
        ValueError: no label is known, numbers and names are mixed, a label is not of ``known``, there are
            fewer than two classes, or one has no image.
    """
    given: set[Any] = {label for label in labels if label is not None}
    if not given:
        raise UserError("labeled: no image has a label, expected some of each class")
    numbers = {label for label in given if isinstance(label, int)}
    if numbers and numbers != given:
        name = next(iter(given - numbers))
        raise UserError(
            f"labeled: expected labels that are all numbers or all names, got {min(numbers)} and {name!r}"
        )
    if known is None and numbers and len(numbers) <= max(numbers):  # names of 10^9 classes are not made
        gaps = max(numbers) + 1 - len(numbers)
        first = islice((repr(str(n)) for n in count() if n not in numbers), min(NAMED, gaps))
        raise UserError(
            _missing(", ".join(first) + (f" and {gaps - NAMED} more" if gaps > NAMED else ""), True)
        )
    if known is None:
        known = [str(n) for n in range(max(numbers) + 1)] if numbers else sorted(given, key=_in_order)
    classes = tuple(map(plain_name, known))
    if len(set(classes)) < len(classes):
        raise UserError(f"classes must differ from each other, got {', '.join(map(repr, classes))}")
    if len(classes) < 2:
        raise UserError(f"labeled: expected two or more classes, got {', '.join(map(repr, classes))} alone")
    found = set(class_numbers(labels, classes, "labeled"))
    missing = [name for number, name in enumerate(classes) if number not in found]
    if missing:
        raise UserError(_missing(listed(missing), bool(numbers)))
    return classes


def _missing(names: str, numbered: bool) -> str:
    hint = ": number the classes 0, 1, ... without gaps, or give names as labels" if numbered else ""
    return f"labeled: no image of class {names}, each class needs some{hint}"


def class_numbers(labels: Iterable[Label], classes: Sequence[str], where: str) -> list[int]:
    """The position of each label in ``classes``, -1 where it is unknown.

    Raises:
        ValueError: a label is none of the classes.
    """
    numbers: dict[Label, int] = {name: number for number, name in enumerate(classes)}
    numbers |= {number: number for number in range(len(classes))} | {None: UNKNOWN}
    labels = list(labels)
    strangers = sorted({repr(label) for label in labels if label not in numbers})
    if strangers:
        more = f" and {len(strangers) - NAMED} more" if len(strangers) > NAMED else ""
        raise UserError(
            f"{where}: label {', '.join(strangers[:NAMED])}{more} is out of range, expected one of the "
            f"{len(classes)} classes {listed(classes)} or its number from 0 to {len(classes) - 1}"
        )
    return [numbers[label] for label in labels]


def _in_order(name: str) -> tuple[int, str]:
    """Numbers by their size, before other names."""
    return (int(name), name) if name.isdecimal() else (2**62, name)


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more
