"""How good a trained run is on images with labels."""

import math
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
        per_class: the same by class name.
        probe_accuracy: share that a linear probe of the same body predicts, where the run has one.
    """

    images: int
    accuracy: float
    mean_class_accuracy: float
    per_class: dict[str, float]
    probe_accuracy: float | None = None


def evaluation_of(probabilities: Tensor, labels: Tensor, classes: Sequence[str]) -> Evaluation:
    """Accuracies of class probabilities (N, C) against labels (N,)."""
    per_class = {
        name: accuracy(probabilities[labels == position], labels[labels == position])
        if (labels == position).any()
        else math.nan
        for position, name in enumerate(classes)
    }
    return Evaluation(
        len(labels), accuracy(probabilities, labels), mean_class_accuracy(probabilities, labels), per_class
    )
