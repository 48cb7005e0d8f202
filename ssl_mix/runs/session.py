"""Start a run, go on with one, and keep its folder."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_mix.datasets import DataSet, Split
from ssl_mix.engine.trainer import Trainer
from ssl_mix.ranks import highest, rank, wait_for_all
from ssl_mix.runs.changes import Changes, check_belongs, extension_notes
from ssl_mix.runs.checkpoint import CURRENT, OF_A_RUN, load_checkpoint, save_checkpoint
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.features import Features
from ssl_mix.runs.folder import (
    FILES,
    LABELS,
    SPLIT,
    Record,
    check_run_folder,
    create_run_folder,
    metrics_writer,
    read_metrics,
    write_names,
    write_text,
)
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import reopened_features, save_body
from ssl_mix.runs.identity import identity_of
from ssl_mix.runs.places import check_outside
from ssl_mix.runs.prepared import begin, prepare
from ssl_mix.runs.reading import reading
from ssl_mix.runs.reread import reread
from ssl_mix.runs.run import Run
from ssl_mix.runs.stopping import Stopped, stop_cleanly
from ssl_mix.shell import quoted


@dataclass(frozen=True)
class Session:
    """A run with its folder, ready to train: ``for record in session.records(): ...``.

    Attributes:
        folder: of the run.
        trainer: at the step to go on from.
        identity: what must be the same for a checkpoint to fit.
        notes: what the user must be told.
        baseline: accuracies without training of a run from weights, which stand in its records beside its
            own; see :class:`ssl_mix.runs.starts.Start`.
        images: those behind the features that a trainer of a head alone has; None where it has them itself.
    """

    folder: Path
    trainer: Trainer
    identity: dict[str, Any]
    notes: tuple[str, ...]
    baseline: Mapping[str, float] = field(default_factory=dict)
    images: DataSet | None = None

    @property
    def finished(self) -> bool:
        """Whether the last step is taken."""
        return self.trainer.step == self.trainer.config.steps

    def records(self) -> Iterator[Record]:
        """Train to the end, or until a signal, writing metrics and checkpoints.

        Raises:
            ChildProcessError: a worker process that reads images died; the steps before are saved.
            Stopped: Ctrl-C or SIGTERM came; the step in which it did is finished and saved.
            DivergedError: a loss term became NaN or infinite; the last checkpoint stays.
        """
        return (record for record in self.steps() if record is not None)

    def steps(self) -> Iterator[Record | None]:
        """``records`` step by step: after each its record, or None where none is due."""
        trainer = self.trainer
        try:
            with metrics_writer(self.folder, trainer.step) as write, stop_cleanly(trainer) as caught:
                for record in trainer.run():
                    if record is not None:
                        record |= beside(record, self.baseline)
                        write(record)
                    if trainer.config.saves_at(trainer.step):
                        self.save()
                    yield record
        except ChildProcessError as error:  # a worker that reads images died, between two steps
            self.save()
            step = self.trainer.step
            raise ChildProcessError(
                f"{error}. Saved after step {step}: ssl-mix resume {quoted(self.folder)}"
            ) from error
        if not self.finished:
            self.save()
        number = highest(caught[0] if caught else 0)  # of the signal that came to any of the processes
        if number:
            raise Stopped(number)

    def tell(self, say: Callable[[str], None], notes: Iterable[str] = ()) -> None:
        """Tell what the user must know of the run, and other ``notes``, one by one."""
        for note in (*notes, *self.notes):
            say(note)

    def save(self) -> None:
        """Write a checkpoint; of several processes the first does.

        Raises:
            DivergedError: a loss term or a weight is NaN or infinite; the last checkpoint stays.
        """
        self.trainer.check_finite()
        if rank() == 0:
            state = {"identity": json.dumps(self.identity), **self.trainer.state_dict()}
            save_checkpoint(self.folder, state)


def start(
    run: Run,
    folder: Path,
    *,
    given: Given = Given(),  # noqa: B008 (a tuple)
    features: Features | None = None,
    net: nn.Module | None = None,
    split: Split | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Session:
    """Read the data, check everything, and only then make the folder of a new run.

    Args:
        run: what to do.
        folder: for its files.
        given: data and network that take the place of those that the run names.
        features: see :func:`ssl_mix.runs.prepared.prepare`.
        net: likewise.
        split: likewise.
        overwrite: replace a run that the folder holds.
        progress: told how far reading the images is.

    Raises:
        ValueError: anything the user can mend; no folder has been made or replaced then.
    """
    check_run_folder(folder, overwrite=overwrite)  # before minutes of reading
    check_outside(run.data.folders, folder, "out")
    wait_for_all()  # before the first process makes it
    run, data, split, features, trainer, first, notes = prepare(run, given, features, progress, net, split)
    told = None if first is None else first._asdict()
    description = run.describe(data, split) | {"given": given.describe(), "start": told}
    if rank() == 0:
        create_run_folder(folder, description, overwrite=overwrite)
        write_contents(folder, data, split, features)
    baseline = {} if first is None else first.scores
    session = Session(folder, trainer, identity_of(description), notes, baseline, data)
    if any(part is not None for part in (given.net, features, net)):
        session.save()  # its weights are written nowhere else
    return session


def write_contents(folder: Path, data: DataSet, split: Split, features: Features | None) -> None:
    """Write what a new run learns from into its folder."""
    split.save(folder / SPLIT)
    write_text(folder / LABELS, json.dumps(data.train.labels.tolist()))
    if data.train.files is not None:
        write_names(folder / FILES, data.train.files)
    if features is not None:
        features.save(folder)
        save_body(folder, features, split)


def reopen(
    folder: Path,
    *,
    given: Given = Given(),  # noqa: B008 (a tuple)
    changes: Changes = Changes(),  # noqa: B008 (a tuple)
    progress: Progress | None = None,
) -> Session:
    """The run in ``folder`` at its newest whole checkpoint.

    Args:
        folder: of the run.
        given: what was handed over when it began.
        changes: where its data are now, and how long it becomes; its folder tells them from now on.
        progress: told how far reading the images is.

    Raises:
        ValueError: no run there, its data or settings have changed, or no checkpoint is whole.
    """
    description, run, data, split, now = reread(folder, given=given, changes=changes, progress=progress)
    read_metrics(folder)  # damaged ones are refused before anything is changed
    identity = identity_of(now)
    state, refused = load_checkpoint(folder, OF_A_RUN)
    if state is not None:
        check_belongs(state, identity, description, folder)
    before, run = run, changes.longer(run)
    features = None
    if run.net.tune == "head":
        features = reopened_features(
            folder, run, data, given.network(len(data.classes), run.config.seed), progress
        )
    if state is None:
        trainer, _ = begin(run, data, split, given, features, progress)
    else:
        with reading(folder / CURRENT), torch.random.fork_rng(devices=[]):  # first weights are drawn in vain
            net = (
                given.network(len(data.classes), run.config.seed) if features is None else features.network()
            )
            trainer = run.trainer(data if features is None else features.data, split, state, net)
    changed = [name for name, old in description["versions"].items() if now["versions"].get(name) != old]
    if changed:
        refused.append(
            f"{', '.join(changed)} changed since the run began: it goes on, but not to the same bits"
        )
    refused += extension_notes(run.algorithm, before.config, run.config, trainer.step)
    wait_for_all()  # until each has read what is changed now
    if changes != Changes():
        if rank() == 0:
            changes.write(folder, description, run, data)
        identity = identity_of(run.describe(data, split))
    return Session(folder, trainer, identity, tuple(refused), baseline_of(description), data)


def baseline_of(description: dict[str, Any]) -> dict[str, float]:
    """The accuracies without training that a ``config.json`` tells; none for a run from random weights."""
    start = description.get("start")
    scores = start.get("scores") if isinstance(start, dict) else None
    return {**scores} if isinstance(scores, dict) else {}


def beside(record: Record, baseline: Mapping[str, float]) -> Record:
    """Those of the accuracies without training that belong beside the accuracies of a record."""
    return {
        name: value
        for name, value in baseline.items()
        if ("validation_accuracy" if "validation" in name else "test_accuracy") in record
    }
