"""How good a network is where it may leave the images unanswered of which it is least sure."""

import torch
from torch import Tensor

from ssl_mix.evaluation.confidence import confidences


def response_accuracy(probs: Tensor, labels: Tensor) -> Tensor:
    """Accuracy on the k images of the largest probability, for k from 1 to N: (N,) float64 on the CPU.

    Images of one confidence have no order: within such a group it is the mean over all orders.

    Args:
        probs: (N, C), of any float type and on any device.
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: they are no probabilities, or no labels for them.

    Examples:
        >>> probs = torch.tensor([[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]])
        >>> response_accuracy(probs, torch.tensor([0, 0, 1]))  # 1 of 1, 1 of 2, 2 of 3
        tensor([1.0000, 0.5000, 0.6667], dtype=torch.float64)
    """
    _, right = confidences(probs, labels)
    return right.flip(0).cumsum(0) / torch.arange(1, len(right) + 1)


def aurra(probs: Tensor, labels: Tensor) -> float:
    """Area under the response rate accuracy curve, ``1 / N sum_k accuracy of the k most confident``; from 0
    to 1, the best.

    Above the accuracy where confidence tells right answers from wrong ones, equal to it where confidence says
    nothing. Of Natural adversarial examples (Hendrycks et al., 2021), as LUMix reports for ImageNet-A; their
    code leaves the order of equal confidences to the sort, here it is the mean over their orders.

    Args:
        probs: (N, C), of any float type and on any device.
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: they are no probabilities, or no labels for them.

    Examples:
        >>> probs = torch.tensor([[0.2, 0.8], [0.9, 0.1]])
        >>> aurra(probs, torch.tensor([0, 0]))  # (1 / 1 + 1 / 2) / 2
        0.75
    """
    return float(response_accuracy(probs, labels).mean())
