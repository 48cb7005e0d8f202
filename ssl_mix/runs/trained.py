"""Use what a run has learned: evaluate its teacher, predict images."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ssl_mix.augment import Augmentation
from ssl_mix.augment.crops import Crops
from ssl_mix.banks import NEVER
from ssl_mix.datasets import ResidentImages, Split, decode_all, list_images
from ssl_mix.datasets.class_names import class_numbers
from ssl_mix.datasets.given import read_images
from ssl_mix.datasets.originals import Form
from ssl_mix.engine.execution import resolve_device
from ssl_mix.errors import UserError, check_choice
from ssl_mix.evaluation import accuracy, predict_probabilities
from ssl_mix.models.pretrained import restore_source_head
from ssl_mix.runs.answers import PredictedLabel, Predictions
from ssl_mix.runs.checkpoint import load_checkpoint
from ssl_mix.runs.data_options import DataOptions, Progress
from ssl_mix.runs.evaluation import Evaluation, evaluation_of
from ssl_mix.runs.folder import SPLIT, read_config
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import whole_networks
from ssl_mix.runs.run import Run
from ssl_mix.types import Task

Weights = Literal["last", "best"]
MARGIN = 8 / 7


@dataclass(frozen=True)
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
        shape: (C, H, W) of what the network sees.
        stored_size: side in pixels of the stored images, of which that is a crop.
        augmentation: normalizes them.
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

    def predict_proba(self, images: Any) -> npt.NDArray[np.float32]:
        """Class probabilities of images, (N, C) float32, by the EMA teacher.

        Args:
            images: a folder, a list of files, a table, arrays or a Dataset, as :func:`ssl_mix.fit` takes
                them.

        Raises:
            ValueError: they have none of the forms, or one of them cannot be read.
        """
        pixels, _ = read_images(images, self._form, "unlabeled")
        return self._probabilities(pixels).numpy()

    def predict(self, images: Any) -> list[str]:
        """The likeliest class of each image, by name; see :meth:`predict_proba`."""
        return [self.classes[position] for position in self.predict_proba(images).argmax(axis=1)]

    def evaluate(self, test: Any) -> Evaluation:
        """Accuracy on images with labels, in any form that :func:`ssl_mix.fit` takes.

        Raises:
            ValueError: there are no labels, or one that is no class of the run.
        """
        pixels, labels = read_images(test, self._form, "test")
        if labels is None:
            raise UserError("test: expected images with labels, got images alone")
        numbers = torch.tensor(class_numbers(labels, self.classes, "test"))
        return evaluation_of(self._probabilities(pixels), numbers, self.classes)

    def pseudo_labels(self) -> list[PredictedLabel]:
        """What was last predicted for each unlabeled image that a step has seen."""
        split, bank = Split.load(self.folder / SPLIT), self.state["bank"]
        columns = zip(
            split.unlabeled, *(bank[n].tolist() for n in ("label", "confidence", "passed")), strict=True
        )
        return [
            PredictedLabel(place, self.classes[label], confidence, bool(passed))
            for place, label, confidence, passed in columns
            if label != NEVER
        ]

    @property
    def _form(self) -> Form:
        return Form(self.stored_size, self.shape[0], self.run.data.fit)

    def _probabilities(self, pixels: Tensor) -> Tensor:
        return predict_probabilities(self.net, ResidentImages(pixels), self.augmentation, self.device)


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
    run, dataset = Run.from_description(description), description["dataset"]
    state, refused = load_checkpoint(folder)
    if state is None:
        raise UserError(f"{folder} has no checkpoint yet: train it first (ssl-mix resume {folder})")
    chosen = _weights(state, weights, folder)
    place = resolve_device(device)
    shape, classes = tuple(dataset["image_shape"]), tuple(dataset["classes"])
    given = Given(net=net)
    given._replace(data=None).check(description["given"] | {"data": False})
    task = Task(len(classes), len(state["bank"]["label"]), shape)
    with torch.random.fork_rng(devices=[]):  # what an algorithm adds draws weights, in vain
        trained, probe = _network(folder, run, given.network(len(classes)), chosen["teacher"], task)
    run.algorithm.load_state_dict(state["algorithm"])
    options: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in dataset["augmentation"].items()
    }
    return TrainedRun(
        folder=folder,
        run=run,
        net=trained.to(place).eval(),
        probe=None if probe is None else probe.to(place).eval(),
        state=state,
        step=chosen["step"],
        classes=classes,
        shape=shape,
        stored_size=dataset["stored_size"],
        augmentation=Augmentation(**options),
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
    built = net or untrained.build(task.image_shape, task.num_classes, run.config.seed)
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


def evaluate(
    trained: TrainedRun,
    *,
    data_dir: str | None = None,
    test: str | None = None,
    crops: Crops = "center",
    progress: Progress | None = None,
) -> Evaluation:
    """Accuracy of the teacher on the test part of the run's data.

    Args:
        trained: from ``load_trained``.
        data_dir: where the files of a data set with a name are now; default: where they were.
        test: another folder of test images with the same classes.
        crops: "center", or the mean over "ten". For those, images that were stored at the size of what the
            network sees are read at 8/7 of it, as 256 is of 224.
        progress: told how far reading the images is.

    Raises:
        ValueError: the data cannot be read, have no test part, or other classes; ten crops of data that have
            a size of their own.
    """
    check_choice("crops", crops, get_args(Crops))
    options = trained.run.data
    options = dataclasses.replace(
        options, data_dir=data_dir or options.data_dir, test=test or options.test
    ).absolute()
    augmentation = trained.augmentation
    if crops == "ten":
        options = _with_margin(options, trained)
        augmentation = dataclasses.replace(augmentation, size=trained.shape[1])
    data = options.load(progress)
    if data.test is None:
        raise UserError("this run has no test images: give `test=DIR` with one sub-folder per class")
    if data.classes != trained.classes:
        raise UserError(f"expected the classes {', '.join(trained.classes)}, found {', '.join(data.classes)}")
    probabilities = predict_probabilities(
        trained.net, data.test.images, augmentation, trained.device, crops=crops
    )
    found = evaluation_of(probabilities, data.test.labels, trained.classes)
    if trained.probe is None:
        return found
    answers = predict_probabilities(
        trained.probe, data.test.images, augmentation, trained.device, crops=crops
    )
    return found._replace(probe_accuracy=accuracy(answers, data.test.labels))


def _with_margin(options: DataOptions, trained: TrainedRun) -> DataOptions:
    """Options that store images larger than what the network sees."""
    size = trained.shape[1]
    if trained.stored_size > size:
        return options
    if not options.in_files:
        raise UserError(
            f"`crops=ten` needs images larger than the {size}x{size} pixels that the network sees; those "
            f"of `data={options.data}` have a size of their own: take `crops=center`"
        )
    return dataclasses.replace(options, stored_size=round(size * MARGIN))


def predict(trained: TrainedRun, paths: Sequence[Path], *, progress: Progress | None = None) -> Predictions:
    """Class probabilities of images, resized and cut as in training, by what the network sees of their
    center.

    Args:
        trained: from ``load_trained``.
        paths: files, and folders that are searched for images.
        progress: told how far reading the images is.

    Raises:
        ValueError: a path is missing, or there is no image to read.
    """
    files = [file for path in paths for file in find_images(path)]
    images, kept, broken = decode_all(
        files, trained.stored_size, trained.shape[0], trained.run.data.fit, progress=progress
    )
    if not len(kept):
        raise UserError(
            "no image to predict: " + "; ".join(f"{path} ({reason})" for path, reason in broken[:3])
        )
    source = ResidentImages(images)
    probabilities = predict_probabilities(trained.net, source, trained.augmentation, trained.device)
    return Predictions([files[position] for position in kept], probabilities, broken)


def find_images(path: Path) -> list[Path]:
    """``path`` itself, or the images in that folder and below.

    Raises:
        ValueError: it does not exist, or is a folder without images.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path} does not exist: expected an image or a folder of images")
    found = list_images(path)
    if not found:
        raise UserError(f"{path} holds no images")
    return found
