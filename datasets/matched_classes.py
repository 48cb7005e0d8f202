"""Test images and the classes of the training images: matched by name, whatever else the test part holds."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ssl_mix.datasets.class_names import NAMED, Label, class_numbers, listed
from ssl_mix.errors import UserError, counts_of


class Matched(NamedTuple):
    """Test images whose class is known: their positions, the numbers of their classes, and notes."""

    kept: list[int]
    numbers: list[int]
    notes: list[str]


def match_test(
    labels: Sequence[Label], classes: Sequence[str], where: str = "test", known: Sequence[str] | None = None
) -> Matched:
    """Find the classes of test images by name, in capitals or not where that leaves one.

    Images of other names are left out, and classes may have no image, of which notes tell: accuracy is over
    what is there.

    Args:
        labels: of the test images.
        classes: of the training images.
        where: what the test images are called in messages.
        known: names that came with the test images for their whole numbers, in that order; numbers count in
            ``classes`` where there are none, or none of a class.

    Raises:
        ValueError: there is no image, a label is unknown, a number is no class or could be either of two, or
            no name is one of a class.
    """
    if not labels:
        raise UserError(f"{where}: no image, expected some of the classes {listed(classes)}")
    if None in labels:
        raise UserError(
            f"{where}: expected a label of each image, got {labels.count(None)} of {len(labels)} without"
        )
    labels = _named(labels, tuple(classes), known, where)
    named = {label: _alike(label, classes) for label in labels if isinstance(label, str)}
    found = [named.get(label, label) for label in labels]  # type: ignore[arg-type]
    kept = [position for position, label in enumerate(found) if label is not None]
    if not kept:
        raise UserError(
            f"{where} holds {listed([label for label in named if label])}, which the training images do not: "
            f"expected the classes {listed(classes)}"
        )
    numbers = class_numbers([found[position] for position in kept], classes, where)
    respelt = [f"{name!r} as {label!r}" for name, label in named.items() if label not in (None, name)]
    extra = Counter(label for label, name in zip(labels, found, strict=True) if name is None)
    there = set(numbers)
    missing = [name for number, name in enumerate(classes) if number not in there]
    notes = [f"{where} has {', '.join(respelt[:NAMED])}: matched by name"] if respelt else []
    if extra:
        notes.append(
            f"{where} has {counts_of(sum(extra.values()), 'image')} of {listed(list(map(str, extra)))}, no "
            "class of the training images: left out"
        )
    if missing:
        notes.append(f"{where} has no image of {listed(missing)}: accuracy is over the other classes")
    return Matched(kept, numbers, notes)


def _named(
    labels: Sequence[Label], classes: tuple[str, ...], known: Sequence[str] | None, where: str
) -> list[Label]:
    """The labels, whole numbers by the names in ``known``.

    Raises:
        ValueError: without names, a number is that of one class and the name of another.
    """
    if known is not None and set(known) & set(classes):
        return [known[label] if isinstance(label, int) and label < len(known) else label for label in labels]
    for label in dict.fromkeys(labels):
        if isinstance(label, int) and str(label) in classes[:label] + classes[label + 1 :]:
            raise UserError(
                f"{where}: label {label} is the name of one class and the number of another, from 0 in "
                f"{listed(classes)}: give the names as text, {str(label)!r}"
            )
    return list(labels)


def _alike(name: str, classes: Sequence[str]) -> str | None:
    """The class of that name, else the only one that differs in capitals alone."""
    if name in classes:
        return name
    found = [known for known in classes if known.casefold() == name.casefold()]
    return found[0] if len(found) == 1 else None
