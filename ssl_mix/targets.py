"""Targets made from predictions, and the ramps that weigh them."""

import torch
from torch import Tensor

from ssl_mix.passes import full_precision
from ssl_mix.types import PseudoLabels, Step


def hard_pseudo_labels(
    probabilities: Tensor, indices: Tensor | None, threshold: float | Tensor = 0.0
) -> PseudoLabels:
    """Hard pseudo-labels ``argmax p`` with the mask ``max p >= threshold``.

    Args:
        probabilities: of the unlabeled images, (N, C), without gradient.
        indices: their positions in the unlabeled part, (N,) int64, or None if unknown.
        threshold: tau, in [0, 1]; one for all, or one for each image (N,). At 0 every pseudo-label counts.
    """
    confidence, labels = probabilities.max(dim=1)
    return PseudoLabels(indices, labels, confidence, (confidence >= threshold).float())


def confident_pseudo_labels(logits: Tensor, indices: Tensor | None, threshold: float = 0.0) -> PseudoLabels:
    """:func:`hard_pseudo_labels` from ``p = softmax(logits)``, detached; ``logits`` (N, C)."""
    return hard_pseudo_labels(torch.softmax(full_precision(logits.detach()), dim=1), indices, threshold)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """``p^(1/T) / sum p^(1/T)``, (N, C): below 1 the temperature makes a pseudo-label more certain."""
    return torch.softmax(probabilities.log() / temperature, dim=1)


def align(probabilities: Tensor, mean: Tensor, wanted: Tensor | float) -> Tensor:
    """Distribution alignment: ``p * wanted / mean``, made to sum to 1 again.

    Args:
        probabilities: (N, C).
        mean: what the network predicts on average, (C,), each above 0.
        wanted: what it should predict on average, (C,), or one number for a uniform distribution.
    """
    aligned = probabilities * (wanted / mean)
    return aligned / aligned.sum(dim=1, keepdim=True)


def ramp_up(step: Step, share: float) -> float:
    """A weight that grows evenly from 0 to 1 over the first ``share`` of the run, and stays; 1 from the start
    for 0."""
    return min(1.0, step.progress / share) if share else 1.0
