"""Targets made from predictions."""

import torch
from torch import Tensor

from ssl_mix.types import PseudoLabels


def confident_guesses(logits: Tensor, indices: Tensor, threshold: float) -> PseudoLabels:
    """Hard pseudo-labels ``argmax p`` with the mask ``max p >= threshold``; ``p = softmax(logits)``, detached.

    Args:
        logits: of the unlabelled pictures, (N, C).
        indices: their positions in the unlabelled part, (N,) int64.
        threshold: tau, in [0, 1].
    """
    confidence, labels = torch.softmax(logits.detach().float(), dim=1).max(dim=1)
    return PseudoLabels(indices, labels, confidence, (confidence >= threshold).float())
