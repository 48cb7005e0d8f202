"""What a run learned from, read again: its data as they were, with the labels that were added to them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ssl_mix.datasets import DataSet, Split
from ssl_mix.datasets.added_labels import with_added_labels
from ssl_mix.errors import UserError, counts_of
from ssl_mix.runs.changes import Changes, check_together, paths_of
from ssl_mix.runs.data_options import DataOptions, Progress
from ssl_mix.runs.folder import CONFIG, FILES, SPLIT, read_config
from ssl_mix.runs.given import Given
from ssl_mix.runs.identity import check_same, identity_of
from ssl_mix.runs.prepared import read_data
from ssl_mix.runs.reading import reading
from ssl_mix.runs.run import Run

NAMED = 3  # files


class Reread(NamedTuple):
    """A run and what it learned from.

    Attributes:
        description: the content of its ``config.json``.
        run: what defines it, with its data where they are now.
        data: the images, with added labels.
        split: which of them are labeled.
        now: what ``config.json`` would hold were it begun now.
    """

    description: dict[str, Any]
    run: Run
    data: DataSet
    split: Split
    now: dict[str, Any]


def reread(
    folder: Path,
    *,
    given: Given = Given(),  # noqa: B008 (a tuple)
    changes: Changes = Changes(),  # noqa: B008 (a tuple)
    progress: Progress | None = None,
) -> Reread:
    """The run in ``folder`` with its data.

    Args:
        folder: of the run.
        given: what was handed over when it began.
        changes: where its data are now.
        progress: told how far reading the images is.

    Raises:
        ValueError: no run there, or its data or settings have changed.
    """
    description = read_config(folder)
    with reading(folder / CONFIG):
        before = Run.from_description(description)
        run = changes.moved(before)
        recorded = identity_of(description)
        given.check(description["given"])
    split = Split.load(folder / SPLIT)
    data = with_added_labels(read_data(run, given, progress), split)
    now = run.describe(data, split)
    found = identity_of(now)
    if found != recorded:
        check_together(before.data, run.data)
        check_files(folder, data, places_of(before.data, run.data))
    check_same(recorded, found, folder / CONFIG)
    return Reread(description, run, data, split, now)


def places_of(before: DataOptions, now: DataOptions) -> dict[str, str]:
    """Where folders are now, by where they were."""
    new = paths_of(now)
    return {str(path): str(new[name]) for name, path in paths_of(before).items()}


def check_files(folder: Path, data: DataSet, places: Mapping[str, str]) -> None:
    """Raise where images that a run learned from are gone, or others are beside them, and name them.

    Args:
        folder: of the run.
        data: as it is read now.
        places: where its folders are now, by where they were.

    Raises:
        ValueError: there are such.
    """
    if data.train.files is None or not (folder / FILES).exists():
        return
    with reading(folder / FILES):
        before = {_moved(name, places) for name in json.loads((folder / FILES).read_text(encoding="utf-8"))}
    now = {*map(str, data.train.files)}
    for files, what, remedy in (
        (before - now, "the run learned from", "cannot be found or read any more: put them back"),
        (now - before, "the run did not learn from", "came in: take them away"),
    ):
        if files:
            named = ", ".join(sorted(files)[:NAMED]) + (", ..." if len(files) > NAMED else "")
            raise UserError(
                f"{counts_of(len(files), 'image')} that {what} ({named}) {remedy}, or begin a new run"
            )


def _moved(name: str, places: Mapping[str, str]) -> str:
    """The name of a file after its folder has moved."""
    for old, new in places.items():
        if name.startswith(old + os.sep):
            return new + name[len(old) :]
    return name
