"""How good a trained run is on images with labels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from ssl_mix.evaluation import accuracy, confusion_matrix, macro_f1, mean_class_accuracy, share_interval


class Evaluation(NamedTuple):
    """Accuracy on a test part.

    Attributes:
        images: how many.
        accuracy: share whose largest probability is right.
        mean_class_accuracy: mean of ``per_class`` over the classes that occur.
        macro_f1: mean of F1 over the classes that occur or are predicted.
        per_class: accuracy by class name; None for a class that has no image.
        class_images: images by class name.
        confusion: images of each class (row) by what they are taken for, (C, C) int64.
        probe_accuracy: share that a linear probe of the same body predicts, where the run has one.
        notes: what the user must be told: classes without an image, images of other classes, ...
    """

    images: int
    accuracy: float
    mean_class_accuracy: float
    macro_f1: float
    per_class: dict[str, float | None]
    class_images: dict[str, int]
    confusion: Tensor
    probe_accuracy: float | None = None
    notes: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """For JSON: all but the confusion matrix and the notes."""
        return {name: v for name, v in self._asdict().items() if name not in ("confusion", "notes")}

    def class_intervals(self) -> dict[str, tuple[float, float] | None]:
        """95 % intervals (Wilson) of ``per_class``; a bootstrap of a few images, all right, would be a
        point."""
        right, counts = self.confusion.diagonal().tolist(), self.class_images
        return {
            name: share_interval(hits, count) if count else None
            for hits, (name, count) in zip(right, counts.items(), strict=True)
        }


def evaluation_of(probabilities: Tensor, labels: Tensor, classes: Sequence[str]) -> Evaluation:
    """Accuracies of class probabilities (N, C) against labels (N,)."""
    confusion = confusion_matrix(probabilities, labels)
    right, counts = confusion.diagonal().tolist(), confusion.sum(dim=1).tolist()
    shares = [hits / count if count else None for hits, count in zip(right, counts, strict=True)]
    return Evaluation(
        images=len(labels),
        accuracy=accuracy(probabilities, labels),
        mean_class_accuracy=mean_class_accuracy(probabilities, labels),
        macro_f1=macro_f1(probabilities, labels),
        per_class=dict(zip(classes, shares, strict=True)),
        class_images=dict(zip(classes, counts, strict=True)),
        confusion=confusion,
    )
