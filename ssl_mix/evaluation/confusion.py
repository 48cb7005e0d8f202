"""Which class is taken for which, and what follows from it."""

import math

import torch
from torch import Tensor

from ssl_mix.datasets.label_range import check_label_range
from ssl_mix.errors import UserError, counts_of, verb_for
from ssl_mix.evaluation.accuracy import check_predictions


def confusion_matrix(probabilities: Tensor, labels: Tensor) -> Tensor:
    """How many images of class i have their largest probability at class j, (C, C) int64: a row for each true
    class.

    Args:
        probabilities: (N, C).
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: as for :func:`ssl_mix.evaluation.accuracy`, or a probability is not finite.

    Examples:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> confusion_matrix(probabilities, torch.tensor([0, 1, 1]))
        tensor([[1, 0],
                [1, 1]])
    """
    predicted, classes = predicted_classes(probabilities, labels), probabilities.shape[1]
    return torch.bincount(labels * classes + predicted, minlength=classes**2).view(classes, classes)


def predicted_classes(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Position of the largest probability of each row, (N,) int64, of what fits labels (N,) and is finite."""
    check_predictions(probabilities, labels)
    check_finite(probabilities, "probabilities")
    return probabilities.argmax(dim=1)


def check_finite(given: Tensor, name: str) -> None:
    """Raise unless all of ``given`` (N, ...) is finite."""
    unclear = int((~given.isfinite()).reshape(len(given), math.prod(given.shape[1:])).any(dim=1).sum())
    if unclear:
        raise UserError(
            f"{unclear} of {counts_of(len(given), 'row')} of {name} {verb_for(unclear)} not finite: has it "
            "diverged?"
        )


def macro_f1(probabilities: Tensor, labels: Tensor) -> float:
    """Mean of ``F1 = 2 TP / (2 TP + FP + FN)`` over the classes that occur among the labels or the
    predictions.

    Args:
        probabilities: (N, C).
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: see :func:`confusion_matrix`.

    Examples:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> macro_f1(probabilities, torch.tensor([0, 1, 1]))  # (2 / 3 + 2 / 3) / 2
        0.6666666666666666
    """
    confusion = confusion_matrix(probabilities, labels).double()
    both = confusion.sum(dim=0) + confusion.sum(dim=1)  # 2 TP + FP + FN
    return (2 * confusion.diagonal()[both > 0] / both[both > 0]).mean().item()


def class_weights(labels: Tensor, num_classes: int) -> Tensor:
    """``N / (K n_c)`` for each class with n_c of the N labels, K of the C classes having some; (C,) float32,
    0 for a class without. The weight of a class in a loss, ``F.cross_entropy(logits, labels, weight)``, that
    makes all classes count alike.

    Args:
        labels: (N,) int64 in [0, C); -1 where unknown, which does not count.
        num_classes: C.

    Raises:
        ValueError: a label is out of range, or none is known.

    Examples:
        >>> class_weights(torch.tensor([0, 0, 0, 1]), 2)
        tensor([0.6667, 2.0000])
    """
    if not isinstance(labels, Tensor) or labels.is_meta or labels.dtype != torch.int64:
        kind = f"{labels.dtype} on {labels.device}" if isinstance(labels, Tensor) else type(labels).__name__
        raise UserError(f"labels must be int64 (N,), got {kind}")
    known = labels[labels != -1]
    check_label_range(known, num_classes, "labels", unknown=False)
    if not len(known):
        raise UserError("class weights need labels, got none")
    counts = torch.bincount(known, minlength=num_classes)
    weights = len(known) / ((counts > 0).sum() * counts.clamp(min=1))
    return torch.where(counts > 0, weights, 0.0)
