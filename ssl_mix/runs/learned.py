"""The images that a trained run has learned from, or held out, read again."""

import dataclasses
from pathlib import Path

from ssl_mix.datasets import DataSet, Split
from ssl_mix.errors import UserError
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.folder import SPLIT, read_config
from ssl_mix.runs.run import Run


def split_of(folder: Path) -> Split:
    """Which training images of a run are labeled, held out and unlabeled."""
    return Split.load(folder / SPLIT)


def read_learned(
    run: Run, folder: Path, *, data_dir: str | None = None, progress: Progress | None = None
) -> DataSet:
    """The data set that a run was trained on, to the same positions of images.

    Args:
        run: what to read.
        folder: of the run.
        data_dir: where the files of a data set with a name are now; default: where they were.
        progress: told how far reading the images is.

    Raises:
        ValueError: they cannot be read, are no longer the same, or were handed over in Python.
    """
    description = read_config(folder)
    if description["given"]["data"]:
        raise UserError("the images that this run learned from were handed over in Python")
    options = dataclasses.replace(run.data, data_dir=data_dir or run.data.data_dir)
    data = options.absolute().load(progress)
    if data.fingerprint() != description["dataset"]["fingerprint"]:
        raise UserError("the images that this run learned from are not what they were")
    return data
