"""Proper scoring rules: what is least, in the mean, for the true probabilities alone."""

import torch
from torch import Tensor

from ssl_mix.evaluation.confidence import check_probabilities, row_chunks


def brier_score(probs: Tensor, labels: Tensor) -> float:
    """``1 / N sum_n sum_c (p_nc - [c = label_n])^2``; from 0, the best, to 2.

    As Brier (1950) defines it for any number of classes; (C - 1) / C for probabilities that are all equal.
    Some codes divide by C, and for two classes it is often halved: scikit-learn's ``brier_score_loss`` does
    so unless ``scale_by_half=False``.

    Args:
        probs: (N, C), of any float type and on any device.
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: they are no probabilities, or no labels for them.

    Examples:
        >>> brier_score(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([0, 0]))  # (0.5 + 0) / 2
        0.25
    """
    check_probabilities(probs, labels)
    total = 0.0
    for rows in row_chunks(probs):
        part = probs[rows].detach().double()
        at_label = _at_label(part, labels[rows])
        total += float((part.square().sum(dim=1) - 2 * at_label + 1).sum())
    return total / len(probs)


def negative_log_likelihood(probs: Tensor, labels: Tensor) -> float:
    """``-1 / N sum_n log p_n,label``, in nats; from 0, the best, up; log C for probabilities that are equal.

    Infinite where a label has a probability of exactly 0, which scikit-learn's ``log_loss`` raises to the
    smallest step of its type. That may be one that was too small for a type: ``cross_entropy`` of the logits
    is the same number without that loss.

    Args:
        probs: (N, C), of any float type and on any device.
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: they are no probabilities, or no labels for them.

    Examples:
        >>> found = negative_log_likelihood(torch.tensor([[0.5, 0.5], [1.0, 0.0]]), torch.tensor([0, 0]))
        >>> round(found, 4)  # (log 2 + 0) / 2
        0.3466
    """
    check_probabilities(probs, labels)
    at_label = [_at_label(probs[rows].detach(), labels[rows]) for rows in row_chunks(probs)]
    return abs(float(torch.cat(at_label).double().log().mean()))  # no -0.0


def _at_label(part: Tensor, labels: Tensor) -> Tensor:
    """The probability of the label of each row, (n,)."""
    return part.gather(1, labels.to(part.device)[:, None]).squeeze(1)
