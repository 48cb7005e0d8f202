"""Start a run, go on with one, and keep its folder."""

import json
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from ssl_mix.datasets import DataSet, Split
from ssl_mix.engine.trainer import Trainer
from ssl_mix.errors import UserError
from ssl_mix.models.pretrained import loading_notes
from ssl_mix.runs.checkpoint import load_checkpoint, save_checkpoint
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.features import Features
from ssl_mix.runs.folder import (
    FILES,
    SPLIT,
    MetricsWriter,
    Record,
    check_free,
    create_run_folder,
    read_config,
    write_text,
)
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import begin_head, learned_features, reopened_features, save_body
from ssl_mix.runs.run import Run
from ssl_mix.runs.starts import Start, start_head


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
    threads = run.config.threads or torch.get_num_threads()  # the number decides the last bits of sums
    if given.net is not None:  # whatever weights the options name, it has its own
        run = replace(run, net=replace(run.net, net=None, pretrained="none"))
    run = replace(run.settled(), config=replace(run.config, threads=threads))
    run.data.check_test_is_apart()
    data = read_data(run, given, progress) if features is None else features.images
    split = run.data.choose_split(data, run.config.seed)
    check_free(folder, overwrite=overwrite)
    if run.net.tune == "head" and features is None:
        features = learned_features(run, data, split, given.network(len(data.classes)), progress)
    trainer, first = begin(run, data, split, given, features, progress)
    told = None if first is None else first._asdict()
    description = run.describe(data, split) | {"given": given.describe(), "start": told}
    create_run_folder(folder, description, overwrite=overwrite)
    split.save(folder / SPLIT)
    if data.train.files is not None:
        write_text(folder / FILES, json.dumps(data.train.files))
    if features is not None:
        features.save(folder)
        save_body(folder, features, split)
    weights = trainer.student if features is None else features.body
    notes = (*data.notes, *loading_notes(weights), *small_set_notes(run, split))
    baseline = {} if first is None else first.scores
    notes += () if first is None else (first.note,)
    session = Session(folder, trainer, identity_of(description), notes, baseline)
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
        features = reopened_features(folder, run, data, given.network(len(data.classes)), progress)
    if state is None:
        trainer, _ = begin(run, data, split, given, features, progress)
    elif features is not None:
        trainer = run.trainer(features.data, split, state, features.network())
    else:
        trainer = run.trainer(data, split, state, given.network(len(data.classes)))
    changed = [name for name, old in description["versions"].items() if now["versions"][name] != old]
    if changed:
        refused.append(
            f"{', '.join(changed)} changed since the run began: it goes on, but not to the same bits"
        )
    return Session(folder, trainer, identity, tuple(refused), baseline_of(description))


def begin(
    run: Run,
    data: DataSet,
    split: Split,
    given: Given,
    features: Features | None = None,
    progress: Progress | None = None,
) -> tuple[Trainer, Start | None]:
    """The trainer of a run at step 0, its head where it starts, and what was found of that."""
    if features is not None:
        return begin_head(run, features, split)
    net = given.network(len(data.classes))
    net = run.first_network(data) if net is None else net
    first = start_head(net, run.net, run.algorithm, data, split, run.config, progress)
    return run.trainer(data, split, net=net), first


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


def identity_of(description: dict[str, Any]) -> dict[str, Any]:
    """The parts of a ``config.json`` that decide every bit of a run, flat."""
    parts = {name: description[name] for name in ("algorithm", "net", "train")}
    deciding = ("name", "fingerprint", "split_sha256", "augmentation")
    parts["dataset"] = {name: description["dataset"][name] for name in deciding}
    flat = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
    return dict(json.loads(json.dumps(flat)))  # as it looks when read back: lists for tuples


def check_same(expected: dict[str, Any], found: dict[str, Any], source: Path) -> None:
    """Raise with the differences unless both identities agree."""
    before, now = _flat(expected), _flat(found)
    if isinstance(before.get("net.pretrained"), bool):  # a yes or no once
        before["net.pretrained"] = "default" if before["net.pretrained"] else "none"
    differences = [  # an option that did not exist then has its default now
        f"{name}: {value!r} then, {now.get(name)!r} now"
        for name, value in sorted(before.items())
        if value != now.get(name)
    ]
    if differences:
        raise UserError(f"this is not the run that {source} belongs to: " + "; ".join(differences))


def _flat(identity: dict[str, Any]) -> dict[str, Any]:
    """Options within options by their full names."""
    flat: dict[str, Any] = {}
    for name, value in identity.items():
        inner = _flat(value) if isinstance(value, dict) else {"": value}
        flat |= {f"{name}.{key}".rstrip("."): leaf for key, leaf in inner.items()}
    return flat


def read_data(run: Run, given: Given, progress: Progress | None = None) -> DataSet:
    """The images of a run: those that were handed over, or that its options name."""
    return run.data.load(progress) if given.data is None else run.data.adjust(given.data)


def small_set_notes(run: Run, split: Split) -> tuple[str, ...]:
    """A note where a batch is larger than the labeled set."""
    size, count = run.config.batch_size, len(split.labeled)
    if size <= count:
        return ()
    return (
        f"the batch ({size}) is larger than the labeled set ({count}): labeled images repeat within a batch",
    )
