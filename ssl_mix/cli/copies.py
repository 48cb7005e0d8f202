"""What ``ssl-mix check`` says of images that occur more than once."""

from collections.abc import Sequence

from ssl_mix.cli.terminal import warn
from ssl_mix.datasets import DataSet, Split
from ssl_mix.datasets.copies import Chosen, Copies, class_notes, find_pairs, keys_of, note_of, parts_of
from ssl_mix.datasets.near_copies import has_hashes, near_keys
from ssl_mix.errors import counts_of

MISSING = "not looked for: pip install 'ssl-mix[copies]'"
NEAR = "they look the same"
REMEDY = "`drop_copies=near` leaves them out of training"
Rows = list[tuple[str, str]]


def copy_rows(data: DataSet, split: Split) -> Rows:
    """For two parts that share images: how many of the second are in the first too, by their bytes, and by
    what they look like, which notes name."""
    parts, sets = parts_of(data, split), [part for part in (data.train, data.test) if part is not None]
    exact = _found(parts, [keys_of(part) for part in sets])
    rows = _rows("copies", exact) or [("copies between parts", "none")]
    if not has_hashes():
        return [*rows, ("near copies between parts", MISSING)]
    same = {(copies.second, at) for copies in exact for _, at in copies.pairs}
    keys = near_keys([part.images for part in sets])
    near = [
        copies._replace(pairs=[pair for pair in copies.pairs if (copies.second, pair[1]) not in same])
        for copies in _found(parts, keys)
    ]
    near = [copies for copies in near if copies.pairs]
    for note in [note_of(copies, parts, NEAR, REMEDY) for copies in near] + class_notes(
        sets, keys, NEAR, REMEDY
    ):
        warn(note)
    return rows + (_rows("near copies", near) or [("near copies between parts", "none")])


def _found(parts: dict[str, Chosen], keys: Sequence[Sequence[object]]) -> list[Copies]:
    return find_pairs(parts, keys[0], keys[1] if len(keys) > 1 else ())


def _rows(what: str, found: Sequence[Copies]) -> Rows:
    return [
        (f"{what}, {c.first} and {c.second}", counts_of(len(c.pairs), f"{c.second} image")) for c in found
    ]
