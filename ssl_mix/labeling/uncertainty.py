"""How unsure a classifier is of each image: what it should be told first."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import check_count
from ssl_mix.labeling.checks import check_probabilities


def margin(probabilities: Tensor) -> Tensor:
    """``1 - (p_1 - p_2)`` with the two largest probabilities of each image, (N,) in [0, 1]: 1 where two
    classes are equally likely. Of one class alone it is ``1 - p_1``.

    Args:
        probabilities: (N, C).

    Raises:
        ValueError: they are no probabilities.

    Source: Scheffer et al., "Active Hidden Markov Models for Information Extraction" (IDA 2001).

    Examples:
        >>> margin(torch.tensor([[0.5, 0.5, 0.0], [0.75, 0.25, 0.0]]))
        tensor([1.0000, 0.5000])
    """
    check_probabilities(probabilities)
    first = F.pad(probabilities, (0, 1)).topk(2, dim=1).values
    return 1 - (first[:, 0] - first[:, 1])


def entropy(probabilities: Tensor) -> Tensor:
    """``-sum_c p_c log p_c`` of each image in nats, (N,) in [0, log C]; a probability of 0 adds 0.

    Args:
        probabilities: (N, C).

    Raises:
        ValueError: they are no probabilities.

    Examples:
        >>> entropy(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
        tensor([0.6931, 0.0000])
    """
    check_probabilities(probabilities)
    terms: Tensor = torch.special.entr(probabilities)
    return terms.sum(dim=1)


def highest(scores: Tensor, count: int) -> Tensor:
    """Positions of the ``count`` largest scores (N,), the largest first, of equal ones the first; all where
    there are fewer.

    Examples:
        >>> highest(torch.tensor([0.1, 0.9, 0.5, 0.9]), 3)
        tensor([1, 3, 2])
    """
    check_count("count", count)
    return scores.argsort(descending=True, stable=True)[:count]
