"""Decoupled mixup: each class of a mixed image is recognized against all others but its mixing partner.

``phi(a, b) = exp(z_a) / sum over c != b of exp(z_c)`` is the softmax with competitor b removed. With ``R =
logsumexp`` over the classes that are neither a nor b, one pass over the logits gives everything, from
differences alone, so that large logits lose no digits: ``-log phi(a, b) = softplus(R - z_a)`` and ``-log p_a
= logaddexp(-log phi(a, b), z_b - z_a)``.

Source: Liu et al., "Harnessing Hard Mixed Samples with Decoupled Regularizer" (NeurIPS 2023; first version
"Decoupled Mixup for Data-efficient Learning"). Differs from the paper: the sign that its boxed equation lost
is put back; pairs of the same class, and a class that is not in the image at all, have no decoupled term.
Differs from the published code: one lam per sample, no host synchronization, and the chosen side is really
the smaller or larger one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_count, check_share
from ssl_mix.losses._common import Reduction, Sides, check_labels, check_options, reduce, weight_like
from ssl_mix.losses.dense import PlainTarget, check_target, decode_classes, named
from ssl_mix.losses.mixup import mixup_cross_entropy
from ssl_mix.losses.multiway import multiway_decoupled_cross_entropy
from ssl_mix.losses.remainder import pair_loss
from ssl_mix.passes import full_precision
from ssl_mix.types import MixedTarget


def both_weights(lam: Tensor) -> Tensor:
    """The weights ``lam`` and ``1 - lam`` side by side, (N, 2), or (1, 2) for one number."""
    return torch.stack((lam, 1 - lam), dim=-1).view(-1, 2)


def half_weights(
    labels_a: Tensor, labels_b: Tensor, weights: Tensor, sides: Sides = "both", eta_power: float = 0.0
) -> Tensor:
    """Weights of the halves, (N, 2): a class that is there, on the chosen side, counts by its own weight to a
    power.

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
        lam: weight of ``labels_a``, (N,) or a number. The half of a class whose weight is 0 counts nothing.
            None: both classes are in every image.
        sides: "both"; or only the half of the class with the "minor" or "major" weight (at 0.5, b is the
            minor one).
        eta_power: each half is multiplied by its own weight to this power; 0 is the paper.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong, or ``sides`` or ``eta_power`` is given without
            ``lam``.

    Examples:
        >>> a, b = torch.tensor([0]), torch.tensor([1])
        >>> decoupled_cross_entropy(torch.zeros(1, 4), a, b)  # 2 log 3
        tensor(2.1972)
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

    Examples:
        >>> a, b = torch.tensor([0]), torch.tensor([1])
        >>> decoupled_mixup_cross_entropy(torch.zeros(1, 4), a, b, 0.7, eta=0.1)  # log 4 + 0.1 * 2 log 3
        tensor(1.6060)
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


class DecoupledMixupLoss(nn.Module):
    """DM(CE) as a criterion, a drop-in where timm or torchvision hand over soft targets.

    ``loss = cross-entropy(logits, target) + eta * D``, see
    :func:`ssl_mix.losses.decoupled_mixup_cross_entropy`. A dense target (N, C) is used as it is in the
    cross-entropy, label smoothing included; ``D`` decodes its classes: a row is understood as at most
    ``classes`` classes plus uniform smoothing, and smoothing of only two columns cannot be told from mixing.
    Rows of one class, smoothed or not, and labels (N,) int64 get plain cross-entropy.

    Args:
        eta: weight of the decoupled term; 0.1 for static mixers, 1 for dynamic ones.
        sides: "both", or only the half of the class with the "minor" or "major" weight.
        eta_power: each half is multiplied by its own weight to this power; 0 is the paper.
        classes: how many classes a dense target may mix. Above 2, ``D`` is
            :func:`ssl_mix.losses.multiway_decoupled_cross_entropy`.
        label_smoothing: share of the cross-entropy's target that is spread over all classes, for a
            :class:`MixedTarget` and for labels; ``D`` is untouched. A dense target brings its own.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ValueError: the target's shape or type does not fit the logits, an option is wrong, or a dense target
            meets ``label_smoothing``.

    Examples:
        >>> criterion = DecoupledMixupLoss(eta=0.1)
        >>> criterion(torch.zeros(1, 4), torch.tensor([[0.7, 0.3, 0.0, 0.0]]))  # log 4 + 0.1 * 2 log 3
        tensor(1.6060)
    """

    def __init__(
        self,
        eta: float = 0.1,
        *,
        sides: Sides = "both",
        eta_power: float = 0.0,
        classes: int = 2,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_options(reduction=reduction, sides=sides, eta=eta, eta_power=eta_power)
        check_share("label_smoothing", label_smoothing)
        check_count("classes", classes)
        if classes < 2 or (classes > 2 and sides != "both"):
            raise UserError(f"classes must be at least 2, and 2 for sides={sides!r}; got {classes}")
        self.eta, self.sides, self.eta_power, self.reduction = eta, sides, eta_power, reduction
        self.classes, self.label_smoothing = classes, label_smoothing

    def forward(self, logits: Tensor, target: MixedTarget | PlainTarget | Tensor) -> Tensor:
        """The loss for logits (N, C) and a :class:`MixedTarget` or its plain tuple, dense targets (N, C) or
        labels (N,)."""
        logits = full_precision(logits)
        target = named(logits, target)
        if isinstance(target, MixedTarget):
            return reduce(self._mixed(logits, target), self.reduction)
        check_target(logits, target, self.classes)
        if target.ndim == 1:
            smoothing = self.label_smoothing
            values = F.cross_entropy(logits, target, reduction="none", label_smoothing=smoothing)
        else:
            values = self._dense(logits, target.to(logits.dtype))
        return reduce(values, self.reduction)

    def _mixed(self, logits: Tensor, target: MixedTarget) -> Tensor:
        values = decoupled_mixup_cross_entropy(
            logits, *target, eta=self.eta, sides=self.sides, eta_power=self.eta_power, reduction="none"
        )
        if self.label_smoothing == 0:
            return values
        log_p = F.log_softmax(logits, dim=1)
        hard = mixup_cross_entropy(logits, *target, reduction="none")
        return values + self.label_smoothing * (-log_p.mean(dim=1) - hard)

    def _dense(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.label_smoothing:
            raise UserError(
                f"label_smoothing={self.label_smoothing} is for a MixedTarget or labels; dense targets are "
                "used as they "
                "are: smooth them where they are made"
            )
        cross_entropy = F.cross_entropy(logits, target, reduction="none")
        if self.eta == 0:
            return cross_entropy
        labels, weights = decode_classes(target, self.classes)
        power = self.eta_power
        if self.classes > 2:
            term = multiway_decoupled_cross_entropy(
                logits, labels, weights, eta_power=power, reduction="none"
            )
        else:
            first, second, lam = labels[:, 0], labels[:, 1], weights[:, 0]
            term = decoupled_cross_entropy(
                logits, first, second, lam, sides=self.sides, eta_power=power, reduction="none"
            )
        return cross_entropy + self.eta * term

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return (
            f"eta={self.eta}, sides={self.sides!r}, eta_power={self.eta_power}, classes={self.classes}, "
            f"label_smoothing={self.label_smoothing}, reduction={self.reduction!r}"
        )
