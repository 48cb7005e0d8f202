"""How good a trained run is on images with labels."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from ssl_mix.evaluation import accuracy, mean_class_accuracy


class Evaluation(NamedTuple):
    """Accuracy on a test part.

    Attributes:
        images: how many.
        accuracy: share whose largest probability is right.
        mean_class_accuracy: mean of ``per_class`` over the classes that occur.
        per_class: the same by class name, for those classes.
        probe_accuracy: share that a linear probe of the same body predicts, where the run has one.
        notes: what the user must be told: classes without an image, images of other classes, ...
    """

    images: int
    accuracy: float
    mean_class_accuracy: float
    per_class: dict[str, float]
    probe_accuracy: float | None = None
    notes: tuple[str, ...] = ()


def evaluation_of(probabilities: Tensor, labels: Tensor, classes: Sequence[str]) -> Evaluation:
    """Accuracies of class probabilities (N, C) against labels (N,)."""
    per_class = {
        name: accuracy(probabilities[labels == position], labels[labels == position])
        for position, name in enumerate(classes)
        if bool((labels == position).any())
    }
    return Evaluation(
        len(labels), accuracy(probabilities, labels), mean_class_accuracy(probabilities, labels), per_class
    )
