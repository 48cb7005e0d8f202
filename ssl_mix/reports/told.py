"""What is known of a run for its report: its files, what it says of its test images, and its pseudo-labels;
or why something is not known."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.augment import Augmentation
from ssl_mix.banks import NEVER, confidences
from ssl_mix.datasets import ImageSet, ImageSource, Split
from ssl_mix.datasets.ahead import FilesAhead
from ssl_mix.datasets.originals import Form
from ssl_mix.datasets.tensors import TensorViews
from ssl_mix.errors import UserError
from ssl_mix.evaluation import predict_probabilities
from ssl_mix.reports.blocks import Pictures
from ssl_mix.reports.mixing_shown import mixed_pictures
from ssl_mix.runs.answered import answer_test_part
from ssl_mix.runs.data_options import OWN, Progress
from ssl_mix.runs.folder import FILES, SPLIT, Record, read_config, read_metrics
from ssl_mix.runs.pseudo_labels import known_labels, pseudo_label_numbers
from ssl_mix.runs.reading import reading
from ssl_mix.runs.session import Session
from ssl_mix.runs.trained import TrainedRun, load_trained
from ssl_mix.shell import quoted

Worded = Callable[[str], str]
NO_TEST = "This run has no test images."
NO_PICTURES = "What it learned from are no images."
NO_PSEUDO = "Its algorithm makes no pseudo-labels."


@dataclass(frozen=True)
class Shown:
    """N images with what a run takes them for.

    Attributes:
        images: where they are.
        positions: of the images there, (N,).
        labels: true classes, (N,) int64, -1 where unknown.
        predicted: (N,) int64.
        confidence: (N,) float, in [0, 1].
        names: of the images.
        changes: how often the predicted class changed, (N,); None where that is not known.
    """

    images: ImageSource
    positions: Tensor
    labels: Tensor
    predicted: Tensor
    confidence: Tensor
    names: Sequence[str]
    changes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Told:
    """A run, as far as it is known. Where a part is not, a sentence says why.

    Attributes:
        folder: of the run.
        config: ``config.json``.
        records: of its metrics, at least the readable ones.
        split: which images are labeled.
        tested: its test images.
        unlabeled: its unlabeled images that have a pseudo-label.
        numbers: of its pseudo-labels, see :func:`ssl_mix.runs.pseudo_labels.pseudo_label_numbers`.
        mixed: some of its test images, mixed.
    """

    folder: Path
    config: Mapping[str, Any]
    records: Sequence[Record]
    split: Split | str
    tested: Shown | str
    unlabeled: Shown | str
    numbers: Mapping[str, Any] | str
    mixed: Pictures | str

    @property
    def classes(self) -> list[str]:
        """Names."""
        return [str(name) for name in self.config["dataset"]["classes"]]

    @property
    def steps(self) -> tuple[int, int]:
        """Steps of the last record, and those of the whole run."""
        return int(self.records[-1]["step"]) if self.records else 0, int(self.config["train"]["steps"])

    @property
    def finished(self) -> bool:
        """Whether the last step is recorded."""
        return self.steps[0] == self.steps[1]

    @property
    def test_images(self) -> int:
        """How many there are."""
        return int(self.config["dataset"].get("test_images", 0))


def told_by(session: Session) -> Told:
    """What is known of a run at its end; one that was stopped looks at no image."""
    trainer, images = session.trainer, session.images or session.trainer.data
    bank = {name: value.cpu() for name, value in trainer.bank.state_dict().items()}
    used, pictured = bool(trainer.algorithm.unlabeled_views), not isinstance(images.augmentation, TensorViews)
    if not session.finished:
        tested: Shown | str = (
            f"The run was stopped: `ssl-mix report {quoted(session.folder)}` looks at the test images."
        )
    elif not pictured:
        tested = NO_PICTURES
    elif trainer.data.test is None or images.test is None:
        tested = NO_TEST
    else:
        part = trainer.data.test
        answers = predict_probabilities(
            trainer.teacher.net, part.images, trainer.data.augmentation, trainer.device
        )
        tested = _tested(
            images.test.images, torch.arange(len(answers)), part.labels, answers, images.test.files
        )
    return Told(
        session.folder,
        read_config(session.folder),
        read_metrics(session.folder),
        trainer.split,
        tested,
        (_unlabeled(images.train, trainer.split, bank) if pictured else NO_PICTURES) if used else NO_PSEUDO,
        pseudo_label_numbers(session.folder, bank, images.classes) if used else NO_PSEUDO,
        _mixed(tested, images.classes, trainer.teacher.net, images.of_pixels, trainer.algorithm)
        if pictured
        else NO_PICTURES,
    )


def told_in(
    folder: Path, device: str = "auto", progress: Progress | None = None, worded: Worded = str
) -> Told:
    """What the folder of a run tells, with a pass over its test images where they can be found.

    Args:
        folder: of the run.
        device: where that is done.
        progress: told how far it is.
        worded: makes of a message what the reader is told, flags for the arguments it names for instance.

    Raises:
        ValueError: there is no run.
    """
    config = read_config(folder)
    check_describes(config, folder)
    attempt = partial(_attempt, worded=worded)
    records = attempt(lambda: read_metrics(folder))
    split = attempt(lambda: Split.load(folder / SPLIT))
    trained = attempt(lambda: load_trained(folder, device))
    about = folder, config, [] if isinstance(records, str) else records, split
    if isinstance(trained, str):
        return Told(*about, trained, trained, trained, trained)
    algorithm, classes = trained.run.algorithm, trained.classes
    tested = attempt(lambda: _test_part(trained, progress))
    mixed = _mixed(tested, classes, trained.net, trained.augmentation, algorithm)
    if not algorithm.unlabeled_views:
        return Told(*about, tested, NO_PSEUDO, NO_PSEUDO, mixed)
    bank = trained.state["bank"]
    unlabeled = attempt(lambda: _unlabeled(_training_part(trained), Split.load(folder / SPLIT), bank))
    return Told(
        *about, tested, unlabeled, attempt(lambda: pseudo_label_numbers(folder, bank, classes)), mixed
    )


def check_describes(config: Mapping[str, Any], folder: Path) -> None:
    """Raise unless a configuration is that of a run.

    Raises:
        ValueError: it is of something else, a demo for instance.
    """
    if not all(
        isinstance(config.get(name), dict) for name in ("algorithm", "train", "dataset", "data", "net")
    ):
        raise UserError(f"{folder} holds no run but {config.get('format')!r}: name the folders of runs")


def _attempt(look: Callable[[], Any], worded: Worded = str) -> Any:
    """What ``look`` finds, or why it finds nothing."""
    try:
        return look()
    except (UserError, OSError) as error:
        text = worded(str(error))
        return f"{text[:1].upper()}{text[1:]}."


def _tested(
    images: ImageSource, positions: Tensor, labels: Tensor, answers: Tensor, names: Sequence[str] | None
) -> Shown | str:
    if not answers.isfinite().all():
        return "The network answers with numbers that are not finite: the run has diverged."
    confidence, predicted = answers.max(dim=1)
    named = [str(names[p]) if names else f"test image {p}" for p in positions.tolist()]
    return Shown(images, positions, labels, predicted, confidence, named)


def _test_part(trained: TrainedRun, progress: Progress | None) -> Shown | str:
    found = answer_test_part(trained, progress=progress)
    files = [str(file) for file in found.images.files] if isinstance(found.images, FilesAhead) else None
    return _tested(found.images, found.positions, found.labels, found.logits.softmax(dim=1), files)


def _mixed(
    tested: Shown | str,
    classes: Sequence[str],
    net: nn.Module,
    augmentation: Augmentation,
    algorithm: Algorithm,
) -> Pictures | str:
    if isinstance(tested, str):
        return tested
    part = tested.images, tested.positions, tested.labels
    found: Pictures | str = _attempt(
        lambda: mixed_pictures(*part, classes, copy.deepcopy(net).cpu().eval(), augmentation, algorithm)
    )
    return found


def _training_part(trained: TrainedRun) -> ImageSet:
    """The training images of a run, as far as they are where they were; files are not read before they are
    asked for."""
    named = trained.folder / FILES
    labels = known_labels(trained.folder)
    if named.exists():
        with reading(named):
            files = [str(file) for file in json.loads(named.read_text())]
        missing = next((file for file in files if not Path(file).exists()), None)
        if missing is not None:
            raise UserError(f"the training image {missing} cannot be found")
        form = Form(trained.stored_size, trained.shape[0], trained.run.data.fit)
        return ImageSet(FilesAhead([Path(file) for file in files], form), labels, tuple(files))
    options = trained.run.data
    if options.source == OWN:
        raise UserError("the training images were handed over in Python")
    return options.load().train


def _unlabeled(part: ImageSet, split: Split, bank: Mapping[str, Tensor]) -> Shown:
    slots = torch.nonzero(bank["label"] != NEVER).flatten()
    positions = torch.tensor(split.unlabeled, dtype=torch.int64)[slots]
    names = [part.files[p] if part.files else f"training image {p}" for p in positions.tolist()]
    return Shown(
        part.images,
        positions,
        part.labels[positions],
        bank["label"][slots].long(),
        confidences(bank["doubt"][slots]),
        names,
        bank["changes"][slots],
    )
