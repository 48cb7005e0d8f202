"""Decoupled mixup: each class of a mixed picture is recognised against all others but its mixing partner.

``phi(a, b) = exp(z_a) / sum over c != b of exp(z_c)`` is the softmax with competitor b removed. With ``R = logsumexp`` over the
classes that are neither a nor b, one masked copy of the logits gives everything, from differences alone, so that large logits
lose no digits: ``-log phi(a, b) = softplus(R - z_a)`` and ``-log p_a = logaddexp(-log phi(a, b), z_b - z_a)``.

Source: Liu et al., "Harnessing Hard Mixed Samples with Decoupled Regularizer" (NeurIPS 2023; first version "Decoupled
Mixup for Data-efficient Learning"). Differs from the paper: the sign that its boxed equation lost is put back; pairs of
the same class, and a class that is not in the picture at all, have no decoupled term. Differs from the published code:
one lam per sample, no host synchronisation, and the chosen side is really the smaller or larger one.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError, check_not_negative
from ssl_mix.losses._common import (
    Reduction,
    check_labels,
    full_precision,
    reduce,
    weight_like,
)

Sides = Literal["both", "minor", "major"]


class Decoupled(NamedTuple):
    """Per-sample pieces of one pass over the logits, each (N,).

    Attributes:
        cross_entropy_a: ``-log p_a``.
        cross_entropy_b: ``-log p_b``.
        half_a: ``-log phi(a, b)``, class a without competitor b; 0 where a == b.
        half_b: ``-log phi(b, a)``, class b without competitor a; 0 where a == b.
    """

    cross_entropy_a: Tensor
    cross_entropy_b: Tensor
    half_a: Tensor
    half_b: Tensor


def decouple(logits: Tensor, labels_a: Tensor, labels_b: Tensor) -> Decoupled:
    """Both cross-entropies and both decoupled halves from one masked copy of full-precision logits."""
    pair = torch.stack((labels_a, labels_b), dim=1)
    z_a, z_b = logits.gather(1, pair).unbind(1)
    # A finite stand-in for -inf: with two classes nothing is left, and the gradient must stay finite then too.
    rest = logits.scatter(1, pair, torch.finfo(logits.dtype).min / 4)
    largest = rest.detach().amax(dim=1)
    log_sum = (rest - largest[:, None]).exp().sum(dim=1).log()
    half_a = F.softplus(largest - z_a + log_sum, threshold=50)
    half_b = F.softplus(largest - z_b + log_sum, threshold=50)
    same = labels_a == labels_b
    zero = logits.new_zeros(())
    return Decoupled(
        cross_entropy_a=torch.where(same, half_a, torch.logaddexp(half_a, z_b - z_a)),
        cross_entropy_b=torch.where(same, half_b, torch.logaddexp(half_b, z_a - z_b)),
        half_a=torch.where(same, zero, half_a),
        half_b=torch.where(same, zero, half_b),
    )


def _side_weight(own: Tensor, chosen: Tensor | None, eta_power: float) -> Tensor:
    """Weight of one half: 0 for a class that is absent or not on the chosen side, else its own lam to a power."""
    present = own > 0 if chosen is None else (own > 0) & chosen
    return present * own**eta_power


def _weigh(pieces: Decoupled, lam: Tensor, sides: Sides, eta_power: float) -> Tensor:
    if sides == "both":
        side_a = side_b = None
    elif sides in ("minor", "major"):
        a_is_minor = lam < 0.5
        side_a = a_is_minor if sides == "minor" else ~a_is_minor
        side_b = ~side_a
    else:
        raise UserError(f"sides must be 'both', 'minor' or 'major', got {sides!r}")
    check_not_negative("eta_power", eta_power)
    weight_a = _side_weight(lam, side_a, eta_power)
    weight_b = _side_weight(1 - lam, side_b, eta_power)
    return weight_a * pieces.half_a + weight_b * pieces.half_b


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
    pieces = decouple(logits, labels_a, labels_b)
    if lam is None:
        if sides != "both" or eta_power:
            raise UserError(
                f"sides={sides!r} and eta_power={eta_power} need lam, the weight of labels_a; got None"
            )
        return reduce(pieces.half_a + pieces.half_b, reduction)
    return reduce(_weigh(pieces, weight_like("lam", lam, logits), sides, eta_power), reduction)


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
    pieces = decouple(logits, labels_a, labels_b)
    check_not_negative("eta", eta)
    lam = weight_like("lam", lam, logits)
    mixed = lam * pieces.cross_entropy_a + (1 - lam) * pieces.cross_entropy_b
    return reduce(mixed + eta * _weigh(pieces, lam, sides, eta_power), reduction)
