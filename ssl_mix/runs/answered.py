"""What a trained run answers to its test images, and how good that is."""

import dataclasses
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from ssl_mix.augment import Augmentation
from ssl_mix.augment.crops import Crops
from ssl_mix.datasets import ImageSource
from ssl_mix.datasets.originals import Form
from ssl_mix.errors import UserError, check_choice
from ssl_mix.evaluation import accuracy, predict_logits, predict_probabilities
from ssl_mix.runs.data_options import DataOptions, Progress
from ssl_mix.runs.evaluation import Evaluation, evaluation_of
from ssl_mix.runs.folder import read_config
from ssl_mix.runs.session import baseline_of
from ssl_mix.runs.tested import learned_notes, read_test_part, readable
from ssl_mix.runs.trained import TrainedRun

MARGIN = 8 / 7


@dataclass(frozen=True)
class Answered:
    """The test images of a run, and the logits of its teacher.

    Attributes:
        trained: the run.
        images: all that were found.
        positions: (N,) int64, of those among them that could be read.
        labels: (N,) int64 in [0, C), of those.
        logits: (N, C) float32, of those.
        probe_accuracy: share that a linear probe of the body without training has right, where that is known.
        notes: what the user must be told.
        crops: that the logits are of.
        data_dir: where the files of a data set with a name are now; None for where they were.
        columns: (C,) int64, which classes of the run the logits are of; None for all.
    """

    trained: TrainedRun
    images: ImageSource
    positions: Tensor
    labels: Tensor
    logits: Tensor
    probe_accuracy: float | None
    notes: tuple[str, ...]
    crops: Crops = "center"
    data_dir: str | None = None
    columns: Tensor | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the C classes."""
        names = self.trained.classes
        return names if self.columns is None else tuple(names[column] for column in self.columns.tolist())

    def of_columns(self, logits: Tensor) -> Tensor:
        """The columns of the C classes, of logits for all classes of the run."""
        return logits if self.columns is None else logits[:, self.columns.to(logits.device)]

    def among_classes(self) -> "Answered":
        """The same answers, chosen among the classes alone that have test images.

        What the network says of other classes does not count, as is usual for ImageNet-A, whose images are of
        200 of the 1000 classes.
        """
        columns = self.labels.bincount().nonzero()[:, 0]
        labels = torch.searchsorted(columns, self.labels)
        return dataclasses.replace(
            self, columns=columns, labels=labels, logits=self.logits[:, columns], probe_accuracy=None
        )

    def evaluation(self) -> Evaluation:
        """Accuracies."""
        found = evaluation_of(self.logits.softmax(dim=1), self.labels, self.classes)
        return found._replace(probe_accuracy=self.probe_accuracy, notes=self.notes)


def evaluate(
    trained: TrainedRun,
    *,
    data_dir: str | None = None,
    test: str | None = None,
    crops: Crops = "center",
    progress: Progress | None = None,
) -> Evaluation:
    """Accuracy of the teacher on the test part of the run's data; see :func:`answer_test_part`."""
    return answer_test_part(
        trained, data_dir=data_dir, test=test, crops=crops, progress=progress
    ).evaluation()


def answer_test_part(
    trained: TrainedRun,
    *,
    data_dir: str | None = None,
    test: str | None = None,
    crops: Crops = "center",
    progress: Progress | None = None,
) -> Answered:
    """The logits of the teacher on the test part of the run's data.

    Args:
        trained: from ``load_trained``.
        data_dir: where the files of a data set with a name are now; default: where they were.
        test: another folder or table of test images, of classes of the run.
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
    form = Form(options.stored_size or trained.stored_size, trained.shape[0], options.fit)
    part = read_test_part(options, form, trained.classes, progress)
    logits = predict_logits(trained.net, part.images, augmentation, trained.device, crops=crops)
    rows, told = readable(part.images)
    probe = None if test else baseline_of(read_config(trained.folder)).get("probe_accuracy")
    if trained.probe is not None:
        probe = _accuracy_of_probe(trained, part.images, augmentation, crops, rows, part.labels[rows])
    learned = learned_notes(trained.folder, part.images) if test else ()
    notes = (*part.notes, *told, *learned)
    return Answered(
        trained, part.images, rows, part.labels[rows], logits[rows], probe, notes, crops, data_dir
    )


def _accuracy_of_probe(
    trained: TrainedRun,
    images: ImageSource,
    augmentation: Augmentation,
    crops: Crops,
    rows: Tensor,
    labels: Tensor,
) -> float:
    assert trained.probe is not None
    answers = predict_probabilities(trained.probe, images, augmentation, trained.device, crops=crops)
    return accuracy(answers[rows], labels)


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
