"""Start a run, go on with one, and keep its folder."""

import json
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from ssl_mix.datasets import Split
from ssl_mix.engine.trainer import Trainer
from ssl_mix.runs.checkpoint import load_checkpoint, save_checkpoint
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.features import Features
from ssl_mix.runs.folder import (
    FILES,
    SPLIT,
    MetricsWriter,
    Record,
    check_run_folder,
    create_run_folder,
    read_config,
    write_text,
)
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import reopened_features, save_body
from ssl_mix.runs.identity import check_same, identity_of
from ssl_mix.runs.prepared import begin, prepare, read_data
from ssl_mix.runs.run import Run


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
    """

    folder: Path
    trainer: Trainer
    identity: dict[str, Any]
    notes: tuple[str, ...]
    baseline: Mapping[str, float] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the last step is taken."""
        return self.trainer.step == self.trainer.config.steps

    def records(self) -> Iterator[Record]:
        """Train to the end, or until Ctrl-C, writing metrics and checkpoints.

        Raises:
            DivergedError: a loss term became NaN or infinite; the last checkpoint stays.
        """
        trainer = self.trainer
        writer = MetricsWriter(self.folder, trainer.step)
        try:
            with stop_on_interrupt(trainer):
                for record in trainer.fit():
                    record |= beside(record, self.baseline)
                    writer.write(record)
                    if trainer.config.saves_at(trainer.step):
                        self.save()
                    yield record
        finally:
            writer.close()
        if not self.finished:
            trainer.check_finite()
            self.save()

    def tell(self, say: Callable[[str], None], notes: Iterable[str] = ()) -> None:
        """Tell what the user must know of the run, and other ``notes``, one by one."""
        for note in (*notes, *self.notes):
            say(note)

    def save(self) -> None:
        """Write a checkpoint."""
        save_checkpoint(self.folder, {"identity": json.dumps(self.identity), **self.trainer.state_dict()})


def start(
    run: Run,
    folder: Path,
    *,
    given: Given = Given(),  # noqa: B008 (a tuple)
    features: Features | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Session:
    """Read the data, check everything, and only then make the folder of a new run.

    Args:
        run: what to do.
        folder: for its files.
        given: data and network that take the place of those that the run names.
        features: of the images, where they are known already; for ``tune`` "head".
        overwrite: replace a run that the folder holds.
        progress: told how far reading the images is.

    Raises:
        ValueError: anything the user can mend; no folder has been made or replaced then.
    """
    check_run_folder(folder, overwrite=overwrite)  # before minutes of reading
    run, data, split, features, trainer, first, notes = prepare(run, given, features, progress)
    told = None if first is None else first._asdict()
    description = run.describe(data, split) | {"given": given.describe(), "start": told}
    create_run_folder(folder, description, overwrite=overwrite)
    split.save(folder / SPLIT)
    if data.train.files is not None:
        write_text(folder / FILES, json.dumps(data.train.files))
    if features is not None:
        features.save(folder)
        save_body(folder, features, split)
    session = Session(folder, trainer, identity_of(description), notes, {} if first is None else first.scores)
    if given.net is not None or features is not None:
        session.save()  # its weights are written nowhere else
    return session


def reopen(
    folder: Path,
    *,
    given: Given = Given(),  # noqa: B008 (a tuple)
    progress: Progress | None = None,
) -> Session:
    """The run in ``folder`` at its newest whole checkpoint.

    Args:
        folder: of the run.
        given: what was handed over when it began.
        progress: told how far reading the images is.

    Raises:
        ValueError: no run there, its data or settings have changed, or no checkpoint is whole.
    """
    description = read_config(folder)
    run = Run.from_description(description)
    given.check(description["given"])
    data = read_data(run, given, progress)
    split = Split.load(folder / SPLIT)
    now = run.describe(data, split)
    identity = identity_of(now)
    check_same(identity_of(description), identity, folder / "config.json")
    state, refused = load_checkpoint(folder)
    if state is not None:
        check_same(json.loads(state["identity"]), identity, folder / "checkpoint.pt")
    features = None
    if run.net.tune == "head":
        features = reopened_features(
            folder, run, data, given.network(len(data.classes), run.config.seed), progress
        )
    if state is None:
        trainer, _ = begin(run, data, split, given, features, progress)
    elif features is not None:
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn in vain
            net = features.network()
        trainer = run.trainer(features.data, split, state, net)
    else:
        trainer = run.trainer(data, split, state, given.network(len(data.classes), run.config.seed))
    changed = [name for name, old in description["versions"].items() if now["versions"][name] != old]
    if changed:
        refused.append(
            f"{', '.join(changed)} changed since the run began: it goes on, but not to the same bits"
        )
    return Session(folder, trainer, identity, tuple(refused), baseline_of(description))


def baseline_of(description: dict[str, Any]) -> dict[str, float]:
    """The accuracies without training that a ``config.json`` tells; none for a run from random weights."""
    return dict((description.get("start") or {}).get("scores", {}))


def beside(record: Record, baseline: Mapping[str, float]) -> Record:
    """Those of the accuracies without training that belong beside the accuracies of a record."""
    return {
        name: value
        for name, value in baseline.items()
        if ("validation_accuracy" if "validation" in name else "test_accuracy") in record
    }


@contextmanager
def stop_on_interrupt(trainer: Trainer) -> Iterator[None]:
    """Within the block Ctrl-C ends training after the current step; a second one interrupts at once."""

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        trainer.stop = True
        signal.signal(signal.SIGINT, previous)

    if threading.current_thread() is not threading.main_thread():  # only there Python lets signals be handled
        yield
        return
    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
