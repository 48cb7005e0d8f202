"""Decoupled mixup: each class of a mixed picture is recognised against all others but its mixing partner.

``phi(a, b) = exp(z_a) / sum over c != b of exp(z_c)`` is the softmax with competitor b removed. With ``R = logsumexp`` over the
classes that are neither a nor b, one pass over the logits gives everything, from differences alone, so that large logits
lose no digits: ``-log phi(a, b) = softplus(R - z_a)`` and ``-log p_a = logaddexp(-log phi(a, b), z_b - z_a)``.

Source: Liu et al., "Harnessing Hard Mixed Samples with Decoupled Regularizer" (NeurIPS 2023; first version "Decoupled
Mixup for Data-efficient Learning"). Differs from the paper: the sign that its boxed equation lost is put back; pairs of
the same class, and a class that is not in the picture at all, have no decoupled term. Differs from the published code:
one lam per sample, no host synchronisation, and the chosen side is really the smaller or larger one.
"""

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses._common import (
    Reduction,
    Sides,
    check_labels,
    check_options,
    full_precision,
    reduce,
    weight_like,
)
from ssl_mix.losses.mixup import mixup_cross_entropy
from ssl_mix.losses.remainder import pair_loss


def both_weights(lam: Tensor) -> Tensor:
    """The weights ``lam`` and ``1 - lam`` side by side, (N, 2), or (1, 2) for one number."""
    return torch.stack((lam, 1 - lam), dim=-1).view(-1, 2)


def half_weights(
    labels_a: Tensor, labels_b: Tensor, weights: Tensor, sides: Sides = "both", eta_power: float = 0.0
) -> Tensor:
    """Weights of the halves, (N, 2): a class that is there, on the chosen side, counts by its own weight to a power.

    Where a == b there is no competitor, and both are 0.
    """
    counted = (weights > 0) & (labels_a != labels_b)[:, None]
    if sides != "both":
        a_is_minor = weights[:, :1] < 0.5
        minor = torch.cat((a_is_minor, ~a_is_minor), dim=1)
        counted = counted & (minor if sides == "minor" else ~minor)
    return counted * weights**eta_power if eta_power else counted.to(weights.dtype)


def decoupled_cross_entropy(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float | None = None,
    *,
    sides: Sides = "both",
    eta_power: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """The decoupled term alone: ``D = -[log phi(a, b) + log phi(b, a)]``; 0 where a == b.

    Its gradient at ``z_a`` is ``phi(a, b) - 1``, whatever lam is (Proposition 2 of the paper).

    Args:
        logits: (N, C) float; half precision is computed in float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a``, (N,) or a number. The half of a class whose weight is 0 counts nothing. None: both
            classes are in every picture.
        sides: "both"; or only the half of the class with the "minor" or "major" weight (at 0.5, b is the minor one).
        eta_power: each half is multiplied by its own weight to this power; 0 is the paper.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong, or ``sides`` or ``eta_power`` is given without ``lam``.
    """
    logits = full_precision(logits)
    check_labels(logits, labels_a=labels_a, labels_b=labels_b)
    check_options(reduction=reduction, sides=sides, eta_power=eta_power)
    if lam is None:
        if sides != "both" or eta_power:
            raise UserError(
                f"sides={sides!r} and eta_power={eta_power} need lam, the weight of labels_a; got None"
            )
        lam = 0.5
    halves = half_weights(labels_a, labels_b, both_weights(weight_like("lam", lam, logits)), sides, eta_power)
    weights = torch.cat((torch.zeros_like(halves), halves), dim=1)
    return reduce(pair_loss(logits, labels_a, labels_b, weights), reduction)


def decoupled_mixup_cross_entropy(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    eta: float = 0.1,
    sides: Sides = "both",
    eta_power: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """DM(CE): ``mixup_cross_entropy + eta * decoupled_cross_entropy``.

    Args:
        logits: (N, C) float; half precision is computed in float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a`` in [0, 1], (N,) or one number for all.
        eta: weight of the decoupled term. The paper: 0.1 for static mixers, 1 for dynamic ones.
        sides: see :func:`decoupled_cross_entropy`.
        eta_power: see :func:`decoupled_cross_entropy`.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.
    """
    logits = full_precision(logits)
    check_labels(logits, labels_a=labels_a, labels_b=labels_b)
    check_options(reduction=reduction, sides=sides, eta=eta, eta_power=eta_power)
    if eta == 0:  # To the bit, whatever the two ways of computing round.
        return mixup_cross_entropy(logits, labels_a, labels_b, lam, reduction=reduction)
    weights = both_weights(weight_like("lam", lam, logits))
    halves = half_weights(labels_a, labels_b, weights, sides, eta_power)
    costs = torch.cat((weights.expand_as(halves), eta * halves), dim=1)
    return reduce(pair_loss(logits, labels_a, labels_b, costs), reduction)
