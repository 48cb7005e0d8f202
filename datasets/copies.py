"""Images that occur more than once: in two parts of a data set, in two classes, or to be left out."""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from typing import Literal, NamedTuple

import torch

from ssl_mix.datasets.data import UNKNOWN, DataSet, ImageSet
from ssl_mix.datasets.pixels import digest_of
from ssl_mix.datasets.splits import Split
from ssl_mix.errors import counts_of, verb_for

Drop = Literal["none", "exact", "near"]
Keys = Sequence[Hashable]  # one for each image, equal for copies
PARTS = ("labeled", "held out", "unlabeled", "test")
NAMED, CHUNK = 3, 1000
REMEDY = "`drop_copies=exact` leaves them out of training"


class Chosen(NamedTuple):
    """Some images of one part: those that hold them all, and positions there."""

    images: ImageSet
    positions: Sequence[int]


class Copies(NamedTuple):
    """Images of the second part that are in the first too, as positions (there, here)."""

    first: str
    second: str
    pairs: list[tuple[int, int]]


def parts_of(data: DataSet, split: Split) -> dict[str, Chosen]:
    """The images of each part that has some."""
    chosen = zip(PARTS, (split.labeled, split.validation, split.unlabeled), strict=False)
    parts = {name: Chosen(data.train, part) for name, part in chosen}
    if data.test is not None:
        parts["test"] = Chosen(data.test, range(len(data.test.labels)))
    return {name: part for name, part in parts.items() if len(part.positions)}


def find_pairs(parts: dict[str, Chosen], train: Keys, test: Keys) -> list[Copies]:
    """For every two parts the images of the second that are in the first too.

    An image that is in both by its position, as asked for by ``include_labeled``, is none.

    Args:
        parts: from ``parts_of``.
        train: keys of all training images.
        test: keys of all test images.
    """
    found = []
    keys = {name: test if name == "test" else train for name in parts}
    names = list(parts)
    for number, second in enumerate(names):
        for first in names[:number]:
            there = {keys[first][at]: at for at in reversed(parts[first].positions)}
            both = set(parts[first].positions) if parts[first].images is parts[second].images else set()
            pairs = [
                (there[key], at)
                for at in parts[second].positions
                if at not in both and (key := keys[second][at]) in there
            ]
            if pairs:
                found.append(Copies(first, second, pairs))
    return found


def in_two_classes(keys: Keys, labels: Sequence[int]) -> list[list[int]]:
    """Groups of positions with one key and several known labels."""
    groups = _groups(keys)
    return [group for group in groups if len({labels[at] for at in group} - {UNKNOWN}) > 1]


def without_copies(train: Keys, labels: Sequence[int], test: Keys) -> list[int]:
    """Positions of the training images that are no test image, of one class at most, and, of several copies,
    the first, a labeled one where there is one."""
    tested = set(test)
    doubtful = {train[group[0]] for group in in_two_classes(train, labels)}
    good = [group for group in _groups(train, 1) if train[group[0]] not in tested | doubtful]
    return sorted(min(group, key=lambda at: (labels[at] == UNKNOWN, at)) for group in good)


def keys_of(images: ImageSet) -> list[bytes]:
    """Check sums of the files of all images, or of the stored pixels where they are none of files."""
    if images.digests is not None:
        return list(images.digests)
    chunks = torch.split(torch.arange(len(images.labels)), CHUNK)
    batches = images.images.batches(chunks, torch.device("cpu"))
    return [digest_of(image) for batch in batches for image in batch]


def copy_notes(data: DataSet, split: Split) -> list[str]:
    """Notes of images with the same bytes in two parts or two classes, where the check sums are known."""
    sets = [part for part in (data.train, data.test) if part is not None]
    if any(part.digests is None for part in sets):
        return []
    keys = [keys_of(part) for part in sets]
    parts = parts_of(data, split)
    notes = [note_of(copies, parts) for copies in find_pairs(parts, keys[0], keys[1] if keys[1:] else ())]
    return notes + class_notes(sets, keys)


def class_notes(
    sets: Sequence[ImageSet], keys: Sequence[Keys], how: str = "copies", remedy: str = REMEDY
) -> list[str]:
    """Notes of training and of test images that are in two classes, by the names of their files."""
    notes = []
    for what, part, found in zip(("training", "test"), sets, keys, strict=False):
        groups = in_two_classes(found, part.labels.tolist())
        if groups:
            pairs = [_pair(part, group[0], part, group[1]) for group in groups]
            told = f": {remedy}" if what == "training" else ""
            count = f"{counts_of(len(groups), f'{what} image')} {verb_for(len(groups))}"
            notes.append(f"{count} in two classes ({how}): {_listed(pairs)}{told}")
    return notes


def note_of(copies: Copies, parts: dict[str, Chosen], how: str = "copies", remedy: str = REMEDY) -> str:
    """A note of the images that two parts share, by the names of their files."""
    one, other = parts[copies.first].images, parts[copies.second].images
    pairs = [_pair(one, there, other, here) for there, here in copies.pairs]
    count = f"{counts_of(len(pairs), f'{copies.second} image')} {verb_for(len(pairs))}"
    return f"{count} among the {copies.first} ones too ({how}): {_listed(pairs)}: {remedy}"


def _groups(keys: Keys, least: int = 2) -> list[list[int]]:
    """Positions with equal keys."""
    groups = defaultdict(list)
    for position, key in enumerate(keys):
        groups[key].append(position)
    return [group for group in groups.values() if len(group) >= least]


def _pair(one: ImageSet, there: int, other: ImageSet, here: int) -> str:
    return " = ".join(
        f"image {at}" if images.files is None else images.files[at]
        for images, at in ((one, there), (other, here))
    )


def _listed(pairs: Sequence[str]) -> str:
    return ", ".join(pairs[:NAMED]) + (f" and {len(pairs) - NAMED} more" if len(pairs) > NAMED else "")
