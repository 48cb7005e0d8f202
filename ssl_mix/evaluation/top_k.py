"""How often the label is among the likeliest classes."""

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_count
from ssl_mix.evaluation.accuracy import check_predictions
from ssl_mix.evaluation.confidence import row_chunks


def top_k_accuracy(probabilities: Tensor, labels: Tensor, k: int) -> float:
    """Share of images whose label is among the ``k`` classes of the largest probabilities; with 1 it is
    :func:`accuracy`. Of equal ones the earlier class comes first; a row with NaN is never right.

    Args:
        probabilities: (N, C), or logits.
        labels: (N,) int64 in [0, C).
        k: at most C.

    Raises:
        ValueError: as for :func:`accuracy`, or ``k`` is no number of classes.

    Examples:
        >>> probabilities = torch.tensor([[0.5, 0.3, 0.2], [0.6, 0.3, 0.1]])
        >>> top_k_accuracy(probabilities, torch.tensor([1, 2]), 2)
        0.5
    """
    return among_top(probabilities, labels, k).double().mean().item()


def among_top(probabilities: Tensor, labels: Tensor, k: int) -> Tensor:
    """Whether each label is among the ``k`` likeliest classes, (N,) bool."""
    check_predictions(probabilities, labels)
    check_count("k", k)
    classes = probabilities.shape[1]
    if k > classes:
        raise UserError(f"k must be at most the number of classes, {classes}, got {k}")
    return torch.cat([_among(probabilities[rows], labels[rows], k) for rows in row_chunks(probabilities)])


def _among(part: Tensor, labels: Tensor, k: int) -> Tensor:
    labels = labels.to(part.device)[:, None]
    at_label = part.gather(1, labels)
    earlier = torch.arange(part.shape[1], device=part.device) < labels
    before = ((part > at_label) | (part == at_label) & earlier).sum(dim=1)
    return (before < k) & ~part.isnan().any(dim=1)
