"""Use what a run has learned: its teacher, its pseudo-labels, and how good it is."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from ssl_mix.augment import Augmentation
from ssl_mix.banks import NEVER, confidences
from ssl_mix.datasets import Split
from ssl_mix.datasets.matched_classes import match_test
from ssl_mix.datasets.originals import Form
from ssl_mix.datasets.read_images import ReadImages, read_images, read_tensors
from ssl_mix.datasets.tensors import TensorViews
from ssl_mix.engine.execution import resolve_device
from ssl_mix.errors import UserError, check_choice
from ssl_mix.evaluation import predict_logits, predict_probabilities
from ssl_mix.models.lora import merged
from ssl_mix.models.pretrained import restore_source_head
from ssl_mix.runs.answers import PredictedLabel
from ssl_mix.runs.changes import check_belongs
from ssl_mix.runs.checkpoint import CURRENT, OF_A_RUN, load_checkpoint
from ssl_mix.runs.evaluation import Evaluation, evaluation_of
from ssl_mix.runs.folder import CONFIG, SPLIT, read_config
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import whole_networks
from ssl_mix.runs.identity import identity_of
from ssl_mix.runs.reading import reading
from ssl_mix.runs.run import Run
from ssl_mix.runs.temperature import read_temperature
from ssl_mix.runs.views import views_of
from ssl_mix.shell import quoted
from ssl_mix.transfer.head_net import on_body_as
from ssl_mix.types import Task

Weights = Literal["last", "best"]
log = logging.getLogger("ssl_mix")


@dataclass(frozen=True, repr=False)
class TrainedRun:
    """A trained network with what is needed to use it: ``predict``, ``predict_proba``, ``evaluate``.

    Attributes:
        folder: of the run.
        run: what defines it.
        net: the teacher, on ``device``, in evaluation mode.
        probe: the same body with a probe for a head, where a head alone was trained.
        state: the whole checkpoint, on the CPU.
        step: after which the teacher was as it is here.
        classes: names.
        shape: (C, H, W) of what the network sees when it is asked.
        stored_size: side in pixels of the stored images, of which that is a crop.
        augmentation: normalizes them; a ``TensorViews`` where they are no images.
        device: where the network is.
        warnings: newer checkpoints that could not be used.
    """

    folder: Path
    run: Run
    net: nn.Module
    probe: nn.Module | None
    state: dict[str, Any]
    step: int
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    stored_size: int
    augmentation: Augmentation
    device: torch.device
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        """Which run it is, without its weights."""
        algorithm, steps = type(self.run.algorithm).__name__, self.run.config.steps
        return (
            f"<TrainedRun {str(self.folder)!r}: {algorithm}, step {self.step} of {steps}, "
            f"{len(self.classes)} classes; predict(images), predict_proba(images), evaluate(test)>"
        )

    def predict_proba(self, images: Any, *, calibrated: bool = False) -> npt.NDArray[np.float32]:
        """Class probabilities of images, (N, C) float32, by the EMA teacher.

        Args:
            images: a folder, a list of files, a table, arrays or a Dataset, as :func:`ssl_mix.fit` takes
                them.
            calibrated: divide the logits by the temperature that ``ssl-mix evaluate RUN --suite calibration``
                has fitted.

        Raises:
            ValueError: they have none of the forms, or one of them cannot be read; there is no temperature.
        """
        temperature = self.temperature if calibrated else 1.0
        source = self._read(images, "unlabeled").source
        logits = predict_logits(self.net, source, self.augmentation, self.device)
        return (logits / temperature).softmax(dim=1).numpy()

    def _read(self, given: Any, where: str) -> ReadImages:
        """What was given, as the run stores it."""
        if isinstance(self.augmentation, TensorViews):
            return read_tensors(given, self.augmentation.dtype, self.shape, where)
        return read_images(given, self.form, where)

    @property
    def temperature(self) -> float:
        """What logits are divided by for calibrated probabilities.

        Raises:
            ValueError: none was fitted for these weights.
        """
        return read_temperature(self.folder, self.step)

    def predict(self, images: Any) -> list[str]:
        """The likeliest class of each image, by name; see :meth:`predict_proba`."""
        return [self.classes[position] for position in self.predict_proba(images).argmax(axis=1)]

    def evaluate(self, test: Any) -> Evaluation:
        """Accuracy on images with labels, in any form that :func:`ssl_mix.fit` takes.

        Their classes are matched by name; those of images that are no class of the run are left out, of which
        the notes of the result and the log tell.

        Raises:
            ValueError: there are no labels, or a number or only names that are no class of the run.
        """
        found = self._read(test, "test")
        if found.labels is None:
            raise UserError("test: expected images with labels, got images alone")
        matched = match_test(found.labels, self.classes, known=found.classes)
        for note in matched.notes:
            log.warning(note)
        kept = torch.tensor(matched.kept)
        answers = predict_probabilities(self.net, found.source, self.augmentation, self.device, indices=kept)
        evaluation = evaluation_of(answers, torch.tensor(matched.numbers), self.classes)
        return evaluation._replace(notes=tuple(matched.notes))

    def pseudo_labels(self) -> list[PredictedLabel]:
        """What was last predicted for each unlabeled image that a step has seen."""
        split, bank = Split.load(self.folder / SPLIT), self.state["bank"]
        selects = self.run.algorithm.selects
        columns = zip(
            split.unlabeled,
            bank["label"].tolist(),
            confidences(bank["doubt"]).tolist(),
            bank["passed"].tolist(),
            strict=True,
        )
        return [
            PredictedLabel(place, self.classes[label], confidence, bool(passed) if selects else None)
            for place, label, confidence, passed in columns
            if label != NEVER
        ]

    @property
    def form(self) -> Form:
        """How its images are stored."""
        return Form(self.stored_size, self.shape[0], self.run.data.fit)


def load_trained(
    folder: Path, device: str = "auto", weights: Weights = "last", *, net: nn.Module | None = None
) -> TrainedRun:
    """The EMA teacher of the run in ``folder``; its data need not be there.

    Args:
        folder: of the run.
        device: "auto", "cpu" or "cuda".
        weights: of the teacher: the "last" ones, or those that were "best" on the held-out part.
        net: the network, where the run was given one in Python.

    Raises:
        ValueError: no run there, no usable checkpoint, or no best weights.
    """
    check_choice("weights", weights, get_args(Weights))
    description = read_config(folder)
    with reading(folder / CONFIG):
        run, dataset, identity = (
            Run.from_description(description),
            description["dataset"],
            identity_of(description),
        )
        shape, classes = tuple(dataset["image_shape"]), tuple(dataset["classes"])
        augmentation: Any = views_of(dataset["augmentation"])
        seen = shape
        if isinstance(augmentation, Augmentation) and augmentation.test_size is not None:
            augmentation = augmentation.for_tests()
            seen = augmentation.seen((shape[0], dataset["stored_size"], dataset["stored_size"]))
        given = Given(net=net)
        given._replace(data=None).check(description["given"] | {"data": False})
    state, refused = load_checkpoint(folder, OF_A_RUN)
    if state is None:
        raise UserError(f"{folder} has no checkpoint yet: train it first (ssl-mix resume {quoted(folder)})")
    check_belongs(state, identity, description, folder)
    chosen, place = _weights(state, weights, folder), resolve_device(device)
    with reading(folder / CURRENT), torch.random.fork_rng(devices=[]):  # first weights are drawn in vain
        task = Task(len(classes), len(state["bank"]["label"]), shape, len(Split.load(folder / SPLIT).labeled))
        trained, probe = _network(folder, run, given.network(len(classes)), chosen["teacher"], task)
        run.algorithm.load_state_dict(state["algorithm"])
    return TrainedRun(
        folder=folder,
        run=run,
        net=trained.to(place).eval(),
        probe=None if probe is None else probe.to(place).eval(),
        state=state,
        step=chosen["step"],
        classes=classes,
        shape=seen,
        stored_size=dataset["stored_size"],
        augmentation=augmentation,
        device=place,
        warnings=tuple(refused),
    )


def _network(
    folder: Path, run: Run, net: nn.Module | None, state: dict[str, Any], task: Task
) -> tuple[nn.Module, nn.Module | None]:
    """The trained network, and the probe where a head alone was trained."""
    if run.net.tune == "head":
        return whole_networks(folder, run, net, state, task)
    untrained = run.net.without_weights()  # its first weights are needed no more
    state = merged(state)
    built = on_body_as(net or untrained.build(task.image_shape, task.num_classes, run.config.seed), state)
    restore_source_head(built, state)
    extended = run.algorithm.extend(built, task)
    extended.load_state_dict(state)
    return extended, None


def _weights(state: dict[str, Any], weights: Weights, folder: Path) -> dict[str, Any]:
    """The part of a checkpoint with "step" and "teacher" of the weights that are asked for."""
    if weights == "last":
        return state
    best: dict[str, Any] | None = state.get("best")
    if best is None:
        raise UserError(f"{folder} has no best weights: train with `validation=SHARE` to find some")
    return best
