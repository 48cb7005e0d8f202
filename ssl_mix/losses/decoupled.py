"""Decoupled mixup: each class of a mixed image is recognized against all others but its mixing partner.

``phi(a, b) = exp(z_a) / sum over c != b of exp(z_c)`` is the softmax with competitor b removed. With ``R =
logsumexp`` over the classes that are neither a nor b, one pass over the logits gives everything, from
differences alone, so that large logits lose no digits: ``-log phi(a, b) = softplus(R - z_a)`` and ``-log p_a
= logaddexp(-log phi(a, b), z_b - z_a)``.

Source: Liu et al., "Harnessing Hard Mixed Samples with Decoupled Regularizer" (NeurIPS 2023; first version
"Decoupled Mixup for Data-efficient Learning"). Differs from the paper: the sign that its boxed equation lost
is put back; an image of one class alone, by its labels or because lam is 0 or 1, has no decoupled term.
Differs from the published code: one lam per sample, no host synchronization, and the chosen side is really
the smaller or larger one.
"""

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_share
from ssl_mix.losses._common import Reduction, Sides, check_options
from ssl_mix.losses._pairs import IGNORED, Pairs, as_pairs, check_ignore_index
from ssl_mix.losses.mixup import mixup_cross_entropy, smoothed
from ssl_mix.losses.remainder import pair_loss


def half_weights(mixed: Tensor, shares: Tensor, sides: Sides = "both", eta_power: float = 0.0) -> Tensor:
    """Weights of the halves, (M, 2) or (M, 1) for both: 1, or a class's own share to a power, on the chosen
    side.

    Args:
        mixed: whether the image shows two classes, (M, 1) bool; where it does not, there is no competitor
            and all are 0.
        shares: of both classes, (M, 2).
        sides: which half counts.
        eta_power: of the share.
    """
    counted = mixed
    if sides != "both":
        own, other = shares.detach().unbind(1)
        a_is_minor = own < other
        chosen = a_is_minor if sides == "minor" else ~a_is_minor
        counted = counted & torch.stack((chosen, ~chosen), 1)
    return counted * shares**eta_power if eta_power else counted.to(shares.dtype)


def decoupled_cross_entropy(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float | None = None,
    *,
    sides: Sides = "both",
    eta_power: float = 0.0,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: Reduction = "mean",
) -> Tensor:
    """The decoupled term alone: ``D = -[log phi(a, b) + log phi(b, a)]``; 0 where a == b or lam is 0 or 1.

    Its gradient at ``z_a`` is ``phi(a, b) - 1``, whatever lam is (Proposition 2 of the paper).

    Args:
        logits: (N, C) float, or (N, C, d1, ...) with labels (N, d1, ...); half precision is computed in
            float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a``, (N,) or a number. Where it is 0 or 1 the image shows one class, and there
            is nothing to decouple. None: both classes are in every image.
        sides: "both"; or only the half of the class with the "minor" or "major" weight (at 0.5, b is the
            minor one).
        eta_power: each half is multiplied by its own weight to this power; 0 is the paper.
        weight: of each class, (C,) float; it multiplies the half of its class too.
        ignore_index: a label that counts nothing; a pair with an ignored label has no decoupled term.
        reduction: "mean" with the denominator of :func:`mixup_cross_entropy`, "sum", or "none" for the (N,)
            losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong, or ``sides`` or ``eta_power`` is given without
            ``lam``.

    Examples:
        >>> a, b = torch.tensor([0]), torch.tensor([1])
        >>> decoupled_cross_entropy(torch.zeros(1, 4), a, b)  # 2 log 3
        tensor(2.1972)
    """
    check_options(reduction=reduction, sides=sides, eta_power=eta_power)
    check_ignore_index(ignore_index)
    if lam is None:
        if sides != "both" or eta_power:
            raise UserError(
                f"sides={sides!r} and eta_power={eta_power} need lam, the weight of labels_a; got None"
            )
        lam = 0.5
    pairs = as_pairs(logits, lam, weight, ignore_index, labels_a=labels_a, labels_b=labels_b)
    halves = pairs.weighted(half_weights(pairs.mixed, pairs.shares, sides, eta_power))
    values = pair_loss(pairs.logits, pairs.classes, pairs.same, torch.zeros_like(pairs.shares), halves)
    return pairs.reduce(values, reduction)


def decoupled_mixup_cross_entropy(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    eta: float = 0.1,
    sides: Sides = "both",
    eta_power: float = 0.0,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """DM(CE): ``mixup_cross_entropy + eta * decoupled_cross_entropy``.

    Args:
        logits: (N, C) float, or (N, C, d1, ...) with labels (N, d1, ...); half precision is computed in
            float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a`` in [0, 1], (N,) or one number for all.
        eta: weight of the decoupled term. The paper: 0.1 for static mixers, 1 for dynamic ones.
        sides: see :func:`decoupled_cross_entropy`.
        eta_power: see :func:`decoupled_cross_entropy`.
        weight: of each class, (C,) float; it multiplies the half of its class too.
        ignore_index: a label that counts nothing; a pair with an ignored label has no decoupled term.
        label_smoothing: share of the cross-entropy's target that is spread over all classes; the decoupled
            term is untouched.
        reduction: "mean" with the denominator of :func:`mixup_cross_entropy`, "sum", or "none" for the (N,)
            losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Examples:
        >>> a, b = torch.tensor([0]), torch.tensor([1])
        >>> decoupled_mixup_cross_entropy(torch.zeros(1, 4), a, b, 0.7, eta=0.1)  # log 4 + 0.1 * 2 log 3
        tensor(1.6060)
    """
    check_options(reduction=reduction, sides=sides, eta=eta, eta_power=eta_power)
    if eta == 0:  # To the bit, whatever the two ways of computing round.
        return mixup_cross_entropy(
            logits,
            labels_a,
            labels_b,
            lam,
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
        )
    check_ignore_index(ignore_index)
    check_share("label_smoothing", label_smoothing)
    pairs = as_pairs(logits, lam, weight, ignore_index, labels_a=labels_a, labels_b=labels_b)
    return decoupled_loss(pairs, eta, sides, eta_power, weight, label_smoothing, reduction)


def decoupled_loss(
    pairs: Pairs,
    eta: float,
    sides: Sides,
    eta_power: float,
    weight: Tensor | None,
    label_smoothing: float,
    reduction: Reduction,
) -> Tensor:
    """DM(CE) of pairs, reduced."""
    halves = pairs.weighted(half_weights(pairs.mixed, pairs.shares, sides, eta_power).mul_(eta))
    inputs = pairs.logits, pairs.classes, pairs.same, pairs.weighted(pairs.shares), halves
    if label_smoothing or reduction == "none" or not len(pairs.logits):
        values = pair_loss(*inputs)
        return pairs.reduce(smoothed(values, pairs, weight, label_smoothing), reduction)
    total = pairs.total() if reduction == "mean" else 1
    if total is None:
        return pair_loss(*inputs, scale=1 / len(pairs.logits))
    return pair_loss(*inputs, scale=1.0) / total
