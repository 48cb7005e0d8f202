"""Use what a run has learned: evaluate its teacher, predict pictures."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.augment import Augmentation
from ssl_mix.datasets import ResidentImages, decode_all, list_pictures
from ssl_mix.engine.checkpoint import load_checkpoint
from ssl_mix.engine.execution import resolve_device
from ssl_mix.engine.run_folder import read_config
from ssl_mix.errors import UserError
from ssl_mix.evaluation import accuracy, predict_probabilities
from ssl_mix.runs import Progress, Run
from ssl_mix.types import Task


@dataclass(frozen=True)
class TrainedRun:
    """The newest checkpoint of a run, ready to look at pictures.

    Attributes:
        run: what defines it.
        net: the teacher, on ``device``, in evaluation mode.
        state: the whole checkpoint, on the CPU.
        classes: names.
        shape: (C, H, W) of the pictures.
        augmentation: normalises them.
        device: where the network is.
        warnings: newer checkpoints that could not be used.
    """

    run: Run
    net: nn.Module
    state: dict[str, Any]
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    augmentation: Augmentation
    device: torch.device
    warnings: tuple[str, ...]


def load_trained(folder: Path, device: str = "auto") -> TrainedRun:
    """The teacher of the run in ``folder``; its data need not be there.

    Raises:
        ValueError: no run there, or no usable checkpoint.
    """
    description = read_config(folder)
    run, dataset = Run.from_description(description), description["dataset"]
    state, refused = load_checkpoint(folder)
    if state is None:
        raise UserError(f"{folder} has no checkpoint yet: train it first (ssl-mix resume {folder})")
    place = resolve_device(device)
    shape, classes = tuple(dataset["image_shape"]), tuple(dataset["classes"])
    untrained = dataclasses.replace(run.net, pretrained="none")  # its first weights are needed no more
    net = untrained.build(shape, len(classes), run.config.seed)
    net = run.algorithm.extend(net, Task(len(classes), len(state["bank"]["label"]), shape))
    net.load_state_dict(state["teacher"])
    run.algorithm.load_state_dict(state["algorithm"])
    options: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in dataset["augmentation"].items()
    }
    return TrainedRun(
        run, net.to(place).eval(), state, classes, shape, Augmentation(**options), place, tuple(refused)
    )


class Evaluation(NamedTuple):
    """Accuracy on a test part.

    Attributes:
        pictures: how many.
        accuracy: share whose largest probability is right.
        per_class: the same by class name.
    """

    pictures: int
    accuracy: float
    per_class: dict[str, float]


def evaluate(
    trained: TrainedRun,
    *,
    data_dir: str | None = None,
    test: str | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Accuracy of the teacher on the test part of the run's data.

    Args:
        trained: from ``load_trained``.
        data_dir: where the files of cifar10, cifar100, svhn or stl10 are now; default: where they were.
        test: another folder of test pictures with the same classes.
        progress: told how far reading the pictures is.

    Raises:
        ValueError: the data cannot be read, have no test part, or other classes.
    """
    options = trained.run.data
    options = dataclasses.replace(
        options, data_dir=data_dir or options.data_dir, test=test or options.test
    ).absolute()
    data = options.load(progress)
    if data.test is None:
        raise UserError("this run has no test pictures: give --test DIR with one sub-folder per class")
    if data.classes != trained.classes:
        raise UserError(f"expected the classes {', '.join(trained.classes)}, found {', '.join(data.classes)}")
    probabilities = predict_probabilities(trained.net, data.test.images, trained.augmentation, trained.device)
    labels = data.test.labels
    per_class = {
        name: accuracy(probabilities[labels == position], labels[labels == position])
        for position, name in enumerate(trained.classes)
    }
    return Evaluation(len(labels), accuracy(probabilities, labels), per_class)


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
    """Class probabilities of pictures, resized as in training.

    Args:
        trained: from ``load_trained``.
        paths: files, and folders that are searched for pictures.
        progress: told how far reading the pictures is.

    Raises:
        ValueError: a path is missing, or there is no picture to read.
    """
    files = [file for path in paths for file in find_pictures(path)]
    channels, size, _ = trained.shape
    images, kept, broken = decode_all(files, size, channels=channels, progress=progress)
    if not len(kept):
        raise UserError(
            "no picture to predict: " + "; ".join(f"{path} ({reason})" for path, reason in broken[:3])
        )
    source = ResidentImages(images)
    probabilities = predict_probabilities(trained.net, source, trained.augmentation, trained.device)
    return Predictions([files[position] for position in kept], probabilities, broken)


def find_pictures(path: Path) -> list[Path]:
    """``path`` itself, or the pictures in that folder and below.

    Raises:
        ValueError: it does not exist, or is a folder without pictures.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path} does not exist: expected a picture or a folder of pictures")
    found = list_pictures(path)
    if not found:
        raise UserError(f"{path} holds no pictures")
    return found
