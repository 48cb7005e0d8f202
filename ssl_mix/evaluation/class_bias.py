"""Confirmation bias of pseudo-labels, as numbers: how far their classes are from those of the labels."""

from math import inf
from typing import NamedTuple

from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.evaluation.values import check_values


class ClassBias(NamedTuple):
    """How far the classes of pseudo-labels are from a prior.

    Attributes:
        excess: largest ``q_c - p_c`` of a class, in [0, 1): its share of the pseudo-labels above its prior; 0
            for none.
        ratio: largest ``q_c / p_c``, at least 1: 1 for none, C where one of C equal classes has all.
        kl: ``sum_c q_c log(q_c / p_c)`` in nats, at least 0, at most ``log C`` of equal classes.
        largest: class of the excess.
        share: its ``q_c``.
        prior: its ``p_c``.

    Examples:
        >>> class_bias(torch.tensor([2, 1, 1]), torch.tensor([1, 2, 1])).excess
        0.25
    """

    excess: float
    ratio: float
    kl: float
    largest: int
    share: float
    prior: float


def class_bias(counts: Tensor, prior: Tensor) -> ClassBias:
    """Bias of pseudo-labels towards a class: their shares ``q_c`` against a prior ``p_c``.

    The prior is that of the labels: where the unlabeled images have another distribution, true pseudo-labels
    differ from it too. Pseudo-labels of a class whose prior is 0 count in the excess alone, for ratio and
    divergence would be infinite.

    Args:
        counts: pseudo-labels of each class, (C,), not negative.
        prior: of each class, (C,): counts or shares of the labeled images.

    Raises:
        ValueError: the shapes differ, nothing is counted in one of them, or a number is negative or not
            finite.

    Examples:
        >>> found = class_bias(torch.tensor([90, 5, 5]), torch.tensor([1, 1, 2]))
        >>> found.largest, round(found.excess, 2), round(found.ratio, 1)
        (0, 0.65, 3.6)
    """
    _check(counts, prior)
    shares = counts.double() / counts.sum().double()
    expected = prior.double() / prior.sum().double()
    there = (shares > 0) & (expected > 0)
    among = shares[there] / shares[there].sum()
    ratios = among / expected[there]
    largest = int((shares - expected).argmax())
    share, usual = shares[largest].item(), expected[largest].item()
    kl = (among * ratios.log()).sum().clamp(min=0)
    ratio = ratios.max().clamp(min=1).item() if len(ratios) else 1.0
    return ClassBias(max(0.0, share - usual), ratio, kl.item(), largest, share, usual)


def _check(counts: Tensor, prior: Tensor) -> None:
    check_values(whole=True, counts=counts, prior=prior)
    if counts.ndim != 1 or counts.shape != prior.shape:
        raise UserError(
            f"counts and prior must have one number for each class, got {tuple(counts.shape)} and "
            f"{tuple(prior.shape)}"
        )
    if not all(((given >= 0) & (given < inf)).all() and given.sum() > 0 for given in (counts, prior)):
        raise UserError(
            "expected counts of pseudo-labels and a prior, each finite, with a number above 0 and none below"
        )
