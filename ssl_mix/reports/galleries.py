"""Which pictures a page shows, and what of them."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath

import torch
from torch import Tensor

from ssl_mix.reports.blocks import Block, Gallery, Text
from ssl_mix.reports.thumbnails import thumbnails
from ssl_mix.reports.told import Shown

MOST = 200  # pictures of a set
SMALL = 40  # pixels: of smaller pictures the pixels should be seen
EVERY = "all that are in this page"


def test_gallery(shown: Shown, classes: Sequence[str], budget: int) -> list[Block]:
    """The most confident mistakes, the least sure, and images of every class as far as ``budget``
    characters go."""
    wrong = torch.nonzero(shown.predicted != shown.labels).flatten()
    sets = {
        "most confident mistakes": _first(wrong, -shown.confidence),
        "least sure": _first(torch.arange(len(shown)), shown.confidence),
    }
    others = class_by_class(shown)
    return _gallery(shown, classes, sets, others, budget, "test images")


def unlabeled_gallery(shown: Shown, classes: Sequence[str], budget: int) -> list[Block]:
    """Pseudo-labels that changed most, and, where the truth is known, the most confident wrong ones."""
    assert shown.changes is not None
    every = torch.arange(len(shown))
    wrong = torch.nonzero((shown.labels >= 0) & (shown.predicted != shown.labels)).flatten()
    sets = {"changed most": _first(every[shown.changes > 0], -shown.changes)}
    if (shown.labels >= 0).any():
        sets["most confident mistakes"] = _first(wrong, -shown.confidence)
    sets["least sure"] = _first(every, shown.confidence)
    return _gallery(shown, classes, sets, class_by_class(shown)[: 2 * MOST], budget, "unlabeled images")


def _first(rows: Tensor, key: Tensor) -> list[int]:
    """At most 200 of ``rows``, by their key."""
    chosen: list[int] = rows[key[rows].argsort(stable=True)][:MOST].tolist()
    return chosen


def class_by_class(shown: Shown) -> list[int]:
    """All rows so that any first part of them holds as many of each class as there are: by the true class, or
    where it is unknown the predicted one, the least sure first."""
    classes = torch.where(shown.labels >= 0, shown.labels, shown.predicted)
    order = shown.confidence.argsort(stable=True)
    order = order[classes[order].argsort(stable=True)]
    sizes = torch.bincount(classes)
    place = torch.arange(len(order)) - (sizes.cumsum(0) - sizes)[classes[order]]
    rows: list[int] = order[place.argsort(stable=True)].tolist()
    return rows


def _gallery(
    shown: Shown,
    classes: Sequence[str],
    sets: Mapping[str, Sequence[int]],
    others: Sequence[int],
    budget: int,
    what: str,
) -> list[Block]:
    rows = list(dict.fromkeys([row for chosen in sets.values() for row in chosen] + list(others)))
    place = shown.positions.tolist()
    made = thumbnails(shown.images, [place[row] for row in rows], budget)
    rows = [row for row in rows if place[row] in made]
    number = {row: count for count, row in enumerate(rows)}
    pictures = [[made[place[row]], *_about(shown, row)] for row in rows]
    chosen = {name: [number[row] for row in found if row in number] for name, found in sets.items()}
    chosen[EVERY] = list(range(len(rows)))
    small = max(shown.images.shape[1:]) < SMALL
    filled = {name: found for name, found in chosen.items() if found}
    told = f"{len(rows)} of {len(shown)} {what} are in this page"
    return [
        Text(
            told
            + (
                "."
                if len(rows) == len(shown)
                else ", those that tell most first and then some of each class."
            )
        ),
        *([Gallery(classes, pictures, filled, small)] if rows else []),
    ]


def _about(shown: Shown, row: int) -> tuple[int, int, float, str, str]:
    changes = 0 if shown.changes is None else int(shown.changes[row])
    note = "" if not changes else "changed once" if changes == 1 else f"changed {changes} times"
    confidence = round(100 * float(shown.confidence[row]), 2)
    name = "/".join(PurePath(shown.names[row]).parts[-2:])
    return int(shown.labels[row]), int(shown.predicted[row]), confidence, name, note
