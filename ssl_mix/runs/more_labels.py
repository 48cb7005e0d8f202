"""Go on with a run in a new folder, with labels that it did not have."""

import dataclasses
from pathlib import Path

from ssl_mix.datasets import DataSet
from ssl_mix.datasets.added_labels import more_labeled, with_added_labels
from ssl_mix.datasets.label_table import read_added_labels
from ssl_mix.errors import UserError
from ssl_mix.runs.changes import Changes
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.features import Features, fingerprint
from ssl_mix.runs.folder import check_run_folder
from ssl_mix.runs.head import reopened_features
from ssl_mix.runs.reread import reread
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import Session, start


def start_with_labels(
    folder: Path,
    table: Path,
    out: Path,
    *,
    changes: Changes = Changes(),  # noqa: B008 (a tuple)
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Session:
    """A new run like the one in ``folder``, which stays as it is, with more labels.

    It begins with the weights that the run has learned; where it trained a head alone, that begins anew, on
    the same features. ``split.json`` holds the added labels: the table is needed no more.

    Args:
        folder: of the run.
        table: see :func:`ssl_mix.datasets.label_table.read_added_labels`.
        out: folder of the new run.
        changes: where the data are now, and the number of steps, as many as before by default.
        overwrite: replace a run that ``out`` holds.
        progress: told how far reading the images is.

    Raises:
        ValueError: anything the user can mend; nothing has been written then.
    """
    if out.resolve() == folder.resolve():
        raise UserError(
            f"`out` is {folder} itself, which stays as it is: name another folder for the new run"
        )
    check_run_folder(out, overwrite=overwrite)
    _, run, data, split, _ = reread(folder, changes=changes, progress=progress)
    split = more_labeled(split, read_added_labels(table, data, split))
    if changes.steps is not None:
        run = dataclasses.replace(run, config=dataclasses.replace(run.config, steps=changes.steps))
    features = None
    if run.net.tune == "head":
        known = reopened_features(folder, run, data, None, progress)
        features = relabeled(known, with_added_labels(data, split), run)
    else:
        run = dataclasses.replace(run, net=dataclasses.replace(run.net, pretrained=str(folder.absolute())))
    return start(run, out, features=features, split=split, overwrite=overwrite, progress=progress)


def relabeled(features: Features, data: DataSet, run: Run) -> Features:
    """The features of the same images with other labels."""
    train = dataclasses.replace(features.data.train, labels=data.train.labels)
    return dataclasses.replace(
        features,
        images=data,
        data=dataclasses.replace(features.data, train=train),
        fingerprint=fingerprint(data, features.body, run.net.feature_views, run.config.seed, features.looks),
    )
