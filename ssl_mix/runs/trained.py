"""Use what a run has learned: evaluate its teacher, predict images."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from ssl_mix.augment import Augmentation
from ssl_mix.augment.crops import Crops
from ssl_mix.datasets import ResidentImages, decode_all, list_images
from ssl_mix.engine.execution import resolve_device
from ssl_mix.errors import UserError, check_choice
from ssl_mix.evaluation import accuracy, mean_class_accuracy, predict_probabilities
from ssl_mix.models.pretrained import restore_source_head
from ssl_mix.runs.checkpoint import load_checkpoint
from ssl_mix.runs.data_options import DataOptions, Progress
from ssl_mix.runs.folder import read_config
from ssl_mix.runs.run import Run
from ssl_mix.types import Task

Weights = Literal["last", "best"]
MARGIN = 8 / 7


@dataclass(frozen=True)
class TrainedRun:
    """The newest checkpoint of a run, ready to look at images.

    Attributes:
        run: what defines it.
        net: the teacher, on ``device``, in evaluation mode.
        state: the whole checkpoint, on the CPU.
        step: after which the teacher was as it is here.
        classes: names.
        shape: (C, H, W) of what the network sees.
        stored_size: side in pixels of the stored images, of which that is a crop.
        augmentation: normalizes them.
        device: where the network is.
        warnings: newer checkpoints that could not be used.
    """

    run: Run
    net: nn.Module
    state: dict[str, Any]
    step: int
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    stored_size: int
    augmentation: Augmentation
    device: torch.device
    warnings: tuple[str, ...]


def load_trained(folder: Path, device: str = "auto", weights: Weights = "last") -> TrainedRun:
    """The teacher of the run in ``folder``; its data need not be there.

    Args:
        folder: of the run.
        device: "auto", "cpu" or "cuda".
        weights: of the teacher: the "last" ones, or those that were "best" on the held-out part.

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
    untrained = dataclasses.replace(run.net, pretrained="none")  # its first weights are needed no more
    net = untrained.build(shape, len(classes), run.config.seed)
    restore_source_head(net, chosen["teacher"])
    net = run.algorithm.extend(net, Task(len(classes), len(state["bank"]["label"]), shape))
    net.load_state_dict(chosen["teacher"])
    run.algorithm.load_state_dict(state["algorithm"])
    options: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in dataset["augmentation"].items()
    }
    return TrainedRun(
        run=run,
        net=net.to(place).eval(),
        state=state,
        step=chosen["step"],
        classes=classes,
        shape=shape,
        stored_size=dataset["stored_size"],
        augmentation=Augmentation(**options),
        device=place,
        warnings=tuple(refused),
    )


def _weights(state: dict[str, Any], weights: Weights, folder: Path) -> dict[str, Any]:
    """The part of a checkpoint with "step" and "teacher" of the weights that are asked for."""
    if weights == "last":
        return state
    best: dict[str, Any] | None = state.get("best")
    if best is None:
        raise UserError(f"{folder} has no best weights: train with --validation SHARE to find some")
    return best


class Evaluation(NamedTuple):
    """Accuracy on a test part.

    Attributes:
        images: how many.
        accuracy: share whose largest probability is right.
        mean_class_accuracy: mean of ``per_class`` over the classes that occur.
        per_class: the same by class name.
    """

    images: int
    accuracy: float
    mean_class_accuracy: float
    per_class: dict[str, float]


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
        raise UserError("this run has no test images: give --test DIR with one sub-folder per class")
    if data.classes != trained.classes:
        raise UserError(f"expected the classes {', '.join(trained.classes)}, found {', '.join(data.classes)}")
    probabilities = predict_probabilities(
        trained.net, data.test.images, augmentation, trained.device, crops=crops
    )
    labels = data.test.labels
    per_class = {
        name: accuracy(probabilities[labels == position], labels[labels == position])
        for position, name in enumerate(trained.classes)
    }
    return Evaluation(
        len(labels), accuracy(probabilities, labels), mean_class_accuracy(probabilities, labels), per_class
    )


def _with_margin(options: DataOptions, trained: TrainedRun) -> DataOptions:
    """Options that store images larger than what the network sees."""
    size = trained.shape[1]
    if trained.stored_size > size:
        return options
    if not options.in_files:
        raise UserError(
            f"--crops ten needs images larger than the {size}x{size} pixels that the network sees; those "
            f"of --data {options.data} "
            "have a size of their own: take --crops center"
        )
    return dataclasses.replace(options, stored_size=round(size * MARGIN))


class Predictions(NamedTuple):
    """Class probabilities of files.

    Attributes:
        files: that could be read.
        probabilities: (N, C) float32.
        broken: files that could not, each with the reason.
    """

    files: list[Path]
    probabilities: Tensor
    broken: list[tuple[Path, str]]


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
