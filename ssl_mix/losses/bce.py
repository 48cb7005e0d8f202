"""Decoupled mixup for binary cross-entropy: classes of a mixed image are wanted more than their share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import check_not_negative
from ssl_mix.losses._common import Reduction, check_labels, check_options, reduce, weight_like
from ssl_mix.losses.dense import PlainTarget, mixed_target
from ssl_mix.passes import full_precision
from ssl_mix.types import MixedTarget


def rescale_lam(lam: Tensor, *, t: float = 1.0, xi: float = 1.0) -> Tensor:
    """``r(lam) = min(1, (lam / xi)^t)``, and 1 for ``xi = 0``; but ``r(0) = 0``: an absent class is never
    wanted.

    Args:
        lam: weights in [0, 1], of any shape.
        t: exponent; below 1 it raises small weights.
        xi: the weight from which a class is wanted wholly.

    Returns:
        The rescaled weights, in the shape and dtype of ``lam``.

    Raises:
        ValueError: ``t`` or ``xi`` is negative.

    Source: Liu et al. (NeurIPS 2023). Differs: ``r(0) = 0`` for ``t = 0`` and ``xi = 0`` too.

    Examples:
        >>> rescale_lam(torch.tensor([0.0, 0.2, 0.5, 0.9]), xi=0.5)
        tensor([0.0000, 0.4000, 1.0000, 1.0000])
    """
    check_not_negative("t", t)
    check_not_negative("xi", xi)
    present = lam > 0
    # Bounded before it is raised, and away from 0, where a root has no finite slope.
    share = torch.where(present, lam, 1) / xi if xi > 0 else torch.ones_like(lam)
    return present * share.clamp(max=1) ** t


def mean_bce(logits: Tensor, target: Tensor, *, sum_classes: bool) -> Tensor:
    """Binary cross-entropy per sample (N,): mean, or sum, over the classes."""
    values = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return values.sum(dim=1) if sum_classes else values.mean(dim=1)


def two_hot(logits: Tensor, labels_a: Tensor, labels_b: Tensor, weight_a: Tensor, weight_b: Tensor) -> Tensor:
    """Binary targets like ``logits``: one weight at each class and 0 elsewhere; 1 where a == b."""
    pair = torch.stack((labels_a, labels_b), dim=1)
    weights = torch.stack((weight_a, weight_b), dim=-1).expand(len(logits), 2)
    weights = weights.masked_fill((labels_a == labels_b)[:, None], 1.0)
    return torch.zeros_like(logits).scatter(1, pair, weights)


def decoupled_mixup_bce(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    t: float = 1.0,
    xi: float = 0.8,
    sum_classes: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """DM(BCE): binary cross-entropy with target ``r(lam)`` at a, ``r(1 - lam)`` at b and 0 elsewhere; 1 where
    a == b.

    ``r`` is :func:`rescale_lam`. With ``t=1, xi=1`` it is the identity, and this is plain BCE of mixed
    images.

    Args:
        logits: (N, C) float; half precision is computed in float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a`` in [0, 1], (N,) or one number for all.
        t: exponent of ``r``. The paper: 1 for mixers that cut, 0.5 for those that interpolate.
        xi: weight from which a class is wanted wholly. The paper: 0.8 for mixers that cut, 1 for those that
            interpolate.
        sum_classes: sum over the classes instead of their mean.
        reduction: over the samples: "mean", "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Source: Liu et al. (NeurIPS 2023). Differs from the published code: one lam per sample; a pair of one
    class has target 1, never more; the mean over classes is the default, as in timm.

    Examples:
        >>> a, b = torch.tensor([0]), torch.tensor([1])
        >>> decoupled_mixup_bce(torch.zeros(1, 4), a, b, 0.7)  # log 2 for each class, whatever is wanted
        tensor(0.6931)
    """
    logits = full_precision(logits)
    check_labels(logits, labels_a=labels_a, labels_b=labels_b)
    lam = weight_like("lam", lam, logits)
    weights = rescale_lam(lam, t=t, xi=xi), rescale_lam(1 - lam, t=t, xi=xi)
    target = two_hot(logits, labels_a, labels_b, *weights)
    return reduce(mean_bce(logits, target, sum_classes=sum_classes), reduction)


class DecoupledMixupBCELoss(nn.Module):
    """DM(BCE) as a criterion, see :func:`ssl_mix.losses.decoupled_mixup_bce`.

    A dense target (N, C) is decoded: its two largest entries are the classes, and what label smoothing gave
    to every class is dropped, because a target of BCE that is rescaled per class is no distribution; with C =
    2 smoothing cannot be told from mixing, and stays. Labels (N,) int64 have target 1.

    Args:
        t: exponent of the rescaling; 1 for mixers that cut, 0.5 for those that interpolate.
        xi: weight from which a class is wanted wholly; 0.8 for mixers that cut, 1 for those that interpolate.
        sum_classes: sum over the classes instead of their mean.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ValueError: the target's shape or type does not fit the logits, or an option is wrong.

    Examples:
        >>> criterion = DecoupledMixupBCELoss(sum_classes=True)
        >>> criterion(torch.zeros(1, 4), torch.tensor([[0.7, 0.3, 0.0, 0.0]]))  # 4 log 2
        tensor(2.7726)
    """

    def __init__(
        self,
        t: float = 1.0,
        xi: float = 0.8,
        *,
        sum_classes: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_not_negative("t", t)
        check_not_negative("xi", xi)
        check_options(reduction=reduction)
        self.t, self.xi, self.sum_classes, self.reduction = t, xi, sum_classes, reduction

    def forward(self, logits: Tensor, target: MixedTarget | PlainTarget | Tensor) -> Tensor:
        """The loss for logits (N, C) and a :class:`MixedTarget`, dense targets (N, C) or labels (N,)."""
        logits = full_precision(logits)
        return decoupled_mixup_bce(
            logits,
            *mixed_target(logits, target),
            t=self.t,
            xi=self.xi,
            sum_classes=self.sum_classes,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return f"t={self.t}, xi={self.xi}, sum_classes={self.sum_classes}, reduction={self.reduction!r}"
