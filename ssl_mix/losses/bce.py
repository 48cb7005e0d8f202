"""Decoupled mixup for binary cross-entropy: classes of a mixed image are wanted more than their share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_not_negative, check_share
from ssl_mix.losses._common import Reduction, check_options, check_shares, reduce
from ssl_mix.losses._pairs import (
    IGNORED,
    Pairs,
    as_pairs,
    check_class_weights,
    check_ignore_index,
    class_weights,
    full_rows,
    named_classes,
    rows,
)
from ssl_mix.losses.dense import PlainTarget, check_target, named
from ssl_mix.losses.multiway import joint_dense
from ssl_mix.types import JointTarget, MixedTarget

DISTRIBUTION = 1e-4  # how far from 1 the sum of a class distribution may be, where its dtype is no coarser


def rescale_lam(lam: Tensor, *, t: float = 1.0, xi: float = 1.0) -> Tensor:
    """``r(lam) = min(1, (lam / xi)^t)``, and 1 for ``xi = 0``; but ``r(0) = 0``: an absent class is never
    wanted.

    Args:
        lam: weights in [0, 1], of any shape.
        t: exponent; below 1 it raises small weights.
        xi: the weight from which a class is wanted wholly, in [0, 1].

    Returns:
        The rescaled weights, in the shape and dtype of ``lam``.

    Raises:
        ValueError: ``t`` is negative, or ``xi`` or a weight lies outside [0, 1].

    Source: Liu et al. (NeurIPS 2023). Differs: ``r(0) = 0`` for ``t = 0`` and ``xi = 0`` too.

    Examples:
        >>> rescale_lam(torch.tensor([0.0, 0.2, 0.5, 0.9]), xi=0.5)
        tensor([0.0000, 0.4000, 1.0000, 1.0000])
    """
    check_not_negative("t", t)
    check_share("xi", xi)
    if not isinstance(lam, Tensor) or not lam.is_floating_point():
        raise UserError(f"lam must be a float tensor, got {getattr(lam, 'dtype', type(lam).__name__)}")
    check_shares("lam", lam)
    absent = lam <= 0
    # Bounded before it is raised, and away from 0, where a root has no finite slope.
    share = lam.masked_fill(absent, 1) / xi if xi > 0 else torch.ones_like(lam)
    return (share.clamp(max=1) ** t).masked_fill(absent, 0)


def mean_bce(
    logits: Tensor,
    target: Tensor,
    *,
    sum_classes: bool = False,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy per sample (M,): mean, or sum, over the classes."""
    weight, pos_weight = (
        None if given is None else class_weights(given, logits) for given in (weight, pos_weight)
    )
    values = F.binary_cross_entropy_with_logits(
        logits, target, weight=weight, pos_weight=pos_weight, reduction="none"
    )
    return values.sum(dim=1) if sum_classes else values.mean(dim=1)


def two_hot(pairs: Pairs, weights: Tensor) -> Tensor:
    """Binary targets like the logits (M, C): a weight (M, 2) at each class, 0 elsewhere; 1 where a == b."""
    zeros, weights = torch.zeros_like(pairs.logits), weights.masked_fill(pairs.same, 1.0)
    found: Tensor = named_classes(_scattered, zeros, pairs.classes, weights)
    return found


def _scattered(values: Tensor, classes: Tensor, at_classes: Tensor) -> Tensor:
    return values.scatter(1, classes, at_classes)


def decoupled_mixup_bce(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    t: float = 1.0,
    xi: float = 0.8,
    sum_classes: bool = False,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: Reduction = "mean",
) -> Tensor:
    """DM(BCE): binary cross-entropy with target ``r(lam)`` at a, ``r(1 - lam)`` at b and 0 elsewhere; 1 where
    a == b.

    ``r`` is :func:`rescale_lam`. With ``t=1, xi=1`` it is the identity, and this is plain BCE of mixed
    images.

    Args:
        logits: (N, C) float, or (N, C, d1, ...) with labels (N, d1, ...); half precision is computed in
            float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a`` in [0, 1], (N,) or one number for all.
        t: exponent of ``r``. The paper: 1 for mixers that cut, 0.5 for those that interpolate.
        xi: weight from which a class is wanted wholly. The paper: 0.8 for mixers that cut, 1 for those that
            interpolate.
        sum_classes: sum over the classes instead of their mean.
        weight: of each class, (C,) float, as in ``torch.nn.BCEWithLogitsLoss``.
        pos_weight: of what is wanted of each class, (C,) float, as there.
        ignore_index: a label that counts nothing. A pair of which one label is ignored is an unmixed image of
            the other class that counts by that class's share.
        reduction: over the samples: "mean", over those that count, "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Source: Liu et al. (NeurIPS 2023). Differs from the published code: one lam per sample; a pair of one
    class has target 1, never more; the mean over classes is the default, as in timm.

    Examples:
        >>> a, b = torch.tensor([0]), torch.tensor([1])
        >>> decoupled_mixup_bce(torch.zeros(1, 4), a, b, 0.7)  # log 2 for each class, whatever is wanted
        tensor(0.6931)
    """
    check_options(reduction=reduction)
    check_ignore_index(ignore_index)
    pairs = as_pairs(logits, lam, None, ignore_index, labels_a=labels_a, labels_b=labels_b)
    target = two_hot(pairs, rescale_lam(pairs.alone(), t=t, xi=xi))
    values = mean_bce(pairs.logits, target, sum_classes=sum_classes, weight=weight, pos_weight=pos_weight)
    return pairs.reduce(pairs.of_kept(values), reduction)


def rescaled_target(target: Tensor, dtype: torch.dtype, *, t: float, xi: float) -> Tensor:
    """Dense targets (M, C) in ``dtype`` with every class rescaled by :func:`rescale_lam`.

    Label smoothing of a distribution stays as it is. A row that sums to 1 is one: its smallest entry is what
    label smoothing gave to every class, but for C = 2, where that cannot be told from mixing.
    """
    classes, rounding = target.shape[1], max(DISTRIBUTION, torch.finfo(target.dtype).eps)
    target = target.to(dtype)
    if classes <= 2:
        return rescale_lam(target, t=t, xi=xi)
    distribution = (target.sum(1, keepdim=True) - 1).abs() < rounding
    offset = target.amin(1, keepdim=True) * distribution
    left = 1 - classes * offset
    known = left > 0
    shares = ((target - offset) / left.where(known, 1)).clamp(0, 1)
    return offset + rescale_lam(shares, t=t, xi=xi) * left


class DecoupledMixupBCELoss(nn.Module):
    """DM(BCE) as a criterion, see :func:`ssl_mix.losses.decoupled_mixup_bce`.

    A dense target (N, C) wants each class by itself: ``r`` of its entry. So it may be a distribution over
    classes, in which label smoothing stays as it is (with C = 2 it cannot be told from mixing), or a
    **multi-label** target, in which classes do not exclude each other. So may the two labels of a
    :class:`MixedTarget`, (N, C) float each, as mixers give them for such labels. With ``t=1, xi=1`` dense
    targets, mixed or not, have the value of ``torch.nn.BCEWithLogitsLoss``. Labels (N,) int64 have target 1.

    Args:
        t: exponent of the rescaling; 1 for mixers that cut, 0.5 for those that interpolate.
        xi: weight from which a class is wanted wholly; 0.8 for mixers that cut, 1 for those that interpolate.
        sum_classes: sum over the classes instead of their mean.
        weight: of each class, (C,) float, as in ``torch.nn.BCEWithLogitsLoss``.
        pos_weight: of what is wanted of each class, (C,) float, as there.
        ignore_index: a label that counts nothing. A pair of which one label is ignored is an unmixed image of
            the other class that counts by that class's share.
        reduction: over the samples: "mean", "sum" or "none". That of ``torch.nn.BCEWithLogitsLoss`` for "sum"
            needs ``sum_classes``.

    Raises:
        ValueError: the target's shape or type does not fit the logits, or an option is wrong.

    Examples:
        >>> criterion = DecoupledMixupBCELoss(sum_classes=True)
        >>> criterion(torch.zeros(1, 4), torch.tensor([[0.7, 0.3, 0.0, 0.0]]))  # 4 log 2
        tensor(2.7726)
    """

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(
        self,
        t: float = 1.0,
        xi: float = 0.8,
        *,
        sum_classes: bool = False,
        weight: Tensor | None = None,
        pos_weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_not_negative("t", t)
        check_share("xi", xi)
        check_options(reduction=reduction)
        check_ignore_index(ignore_index)
        for name, given in (("weight", weight), ("pos_weight", pos_weight)):
            check_class_weights(given)
            self.register_buffer(name, given)
        self.t, self.xi, self.sum_classes, self.reduction = t, xi, sum_classes, reduction
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: MixedTarget | PlainTarget | JointTarget | Tensor) -> Tensor:
        """The loss for logits (N, C) and a :class:`MixedTarget`, dense targets (N, C) or labels (N,); all
        with further axes (N, C, d1, ...) and (N, d1, ...) too; or a :class:`JointTarget`, whose classes are
        wanted by r of their shares."""
        logits = full_rows(logits)
        if isinstance(target, JointTarget):
            wanted = joint_dense(logits, target, multi_label=True)
            return self._binary(logits, rescale_lam(wanted, t=self.t, xi=self.xi))
        target = named(target)
        if isinstance(target, MixedTarget) and getattr(target.labels_a, "shape", None) == logits.shape:
            target = target.dense(logits.shape[1])
        if not isinstance(target, MixedTarget):
            check_target(logits, target, classes=1)
            if target.is_floating_point():
                check_shares("target", target)
                return self._binary(logits, rescaled_target(rows(target), logits.dtype, t=self.t, xi=self.xi))
            target = MixedTarget(target, target, logits.new_ones(()))
        return decoupled_mixup_bce(
            logits,
            *target,
            t=self.t,
            xi=self.xi,
            sum_classes=self.sum_classes,
            weight=self.weight,
            pos_weight=self.pos_weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )

    def _binary(self, logits: Tensor, wanted: Tensor) -> Tensor:
        shape = logits.shape[:1] + logits.shape[2:]
        values = mean_bce(
            rows(logits),
            wanted,
            sum_classes=self.sum_classes,
            weight=self.weight,
            pos_weight=self.pos_weight,
        )
        return reduce(values.view(shape), self.reduction)

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return (
            f"t={self.t}, xi={self.xi}, sum_classes={self.sum_classes}, ignore_index={self.ignore_index}, "
            f"reduction={self.reduction!r}"
        )
