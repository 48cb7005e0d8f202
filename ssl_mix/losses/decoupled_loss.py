"""Decoupled mixup as a criterion for the loops of others."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_count, check_share
from ssl_mix.losses._common import Reduction, Sides, check_options, reduce
from ssl_mix.losses._pairs import (
    IGNORED,
    as_pairs,
    at_classes,
    check_class_weights,
    check_ignore_index,
    class_weights,
    full_rows,
    rows,
)
from ssl_mix.losses.decoupled import decoupled_loss, half_weights
from ssl_mix.losses.dense import PlainTarget, check_dense, check_target, decode_classes, named, plain_loss
from ssl_mix.losses.mixup import mixup_cross_entropy
from ssl_mix.losses.multiway import joint_dense, multiway_decoupled_cross_entropy
from ssl_mix.losses.remainder import pair_loss
from ssl_mix.types import JointTarget, MixedTarget


class DecoupledMixupLoss(nn.Module):
    """DM(CE) as a criterion, a drop-in where timm or torchvision hand over soft targets.

    ``loss = cross-entropy(logits, target) + eta * D``, see
    :func:`ssl_mix.losses.decoupled_mixup_cross_entropy`. A dense target (N, C) is used as it is in the
    cross-entropy, label smoothing included; ``D`` decodes its classes: a row is understood as at most
    ``classes`` classes plus uniform smoothing, and smoothing of only two columns cannot be told from mixing.
    Rows of one class, smoothed or not, and labels (N,) int64 get plain cross-entropy: what
    ``torch.nn.CrossEntropyLoss`` gives with the same options.

    Args:
        eta: weight of the decoupled term; 0.1 for static mixers, 1 for dynamic ones.
        sides: "both", or only the half of the class with the "minor" or "major" weight.
        eta_power: each half is multiplied by its own weight to this power; 0 is the paper.
        classes: how many classes a dense target may mix. Above 2, ``D`` is
            :func:`ssl_mix.losses.multiway_decoupled_cross_entropy`.
        weight: of each class, (C,) float, in both terms.
        ignore_index: a label that counts nothing. A pair of which one label is ignored is an unmixed image of
            the other class that counts by that class's share; dense targets have nothing to ignore.
        label_smoothing: share of the cross-entropy's target that is spread over all classes; ``D`` is
            untouched.
        reduction: "mean", "sum" or "none". "mean" divides as ``torch.nn.CrossEntropyLoss`` does: by the
            shares and class weights that count, and by N for dense targets.

    Raises:
        ValueError: the target's shape or type does not fit the logits, rows of a dense target do not sum to
            1, or an option is wrong.

    Examples:
        >>> criterion = DecoupledMixupLoss(eta=0.1)
        >>> criterion(torch.zeros(1, 4), torch.tensor([[0.7, 0.3, 0.0, 0.0]]))  # log 4 + 0.1 * 2 log 3
        tensor(1.6060)
    """

    weight: Tensor | None

    def __init__(
        self,
        eta: float = 0.1,
        *,
        sides: Sides = "both",
        eta_power: float = 0.0,
        classes: int = 2,
        weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_options(reduction=reduction, sides=sides, eta=eta, eta_power=eta_power)
        check_share("label_smoothing", label_smoothing)
        check_count("classes", classes)
        check_ignore_index(ignore_index)
        check_class_weights(weight)
        if classes < 2 or (classes > 2 and sides != "both"):
            raise UserError(f"classes must be at least 2, and 2 for sides={sides!r}; got {classes}")
        self.eta, self.sides, self.eta_power, self.reduction = eta, sides, eta_power, reduction
        self.classes, self.ignore_index, self.label_smoothing = classes, ignore_index, label_smoothing
        self.register_buffer("weight", weight)

    def forward(self, logits: Tensor, target: MixedTarget | PlainTarget | JointTarget | Tensor) -> Tensor:
        """The loss for logits (N, C) and a :class:`MixedTarget` or its plain tuple, dense targets (N, C) or
        labels (N,); all with further axes (N, C, d1, ...) and (N, d1, ...) too; or a :class:`JointTarget`."""
        if isinstance(target, JointTarget):
            return self._joint(full_rows(logits), target)
        target = named(target)
        if isinstance(target, MixedTarget):
            return self._mixed(logits, target)
        logits = full_rows(logits)
        check_target(logits, target, self.classes)
        if target.dtype.is_floating_point:
            return self._dense(logits, target.to(logits.dtype))
        return plain_loss(self, logits, target)

    def _mixed(self, logits: Tensor, target: MixedTarget) -> Tensor:
        labels_a, labels_b, lam = target
        weight, smoothing, reduction = self.weight, self.label_smoothing, self.reduction
        if self.eta == 0:
            return mixup_cross_entropy(
                logits,
                *target,
                weight=weight,
                ignore_index=self.ignore_index,
                label_smoothing=smoothing,
                reduction=reduction,
            )
        pairs = as_pairs(logits, lam, weight, self.ignore_index, labels_a=labels_a, labels_b=labels_b)
        return decoupled_loss(pairs, self.eta, self.sides, self.eta_power, weight, smoothing, reduction)

    def _joint(self, logits: Tensor, target: JointTarget) -> Tensor:
        if self.sides != "both":
            raise UserError(f"sides={self.sides!r} is of pairs, and a JointTarget may have more classes")
        return self._dense(logits, joint_dense(logits, target), target)

    def _dense(self, logits: Tensor, target: Tensor, joint: JointTarget | None = None) -> Tensor:
        shape = logits.shape[:1] + logits.shape[2:]
        logits, target = rows(logits), rows(target)
        check_dense(target, self.ignore_index)
        weight = None if self.weight is None else class_weights(self.weight, logits)
        values = F.cross_entropy(
            logits, target, weight=weight, reduction="none", label_smoothing=self.label_smoothing
        )
        if self.eta != 0:
            labels, shares = joint or decode_classes(target, self.classes)
            values = values + self.eta * self._decoupled(logits, labels, shares.to(logits), weight)
        return reduce(values if self.reduction == "mean" else values.view(shape), self.reduction)

    def _decoupled(self, logits: Tensor, labels: Tensor, shares: Tensor, weight: Tensor | None) -> Tensor:
        """D of the classes (M, K) of each row, (M,)."""
        if labels.shape[1] != 2:
            return multiway_decoupled_cross_entropy(
                logits, labels, shares, eta_power=self.eta_power, weight=weight, reduction="none"
            )
        same = labels[:, :1] == labels[:, 1:]
        mixed = shares.amin(1, keepdim=True) > same
        halves = half_weights(mixed, shares, self.sides, self.eta_power)
        if weight is not None:
            halves = halves * at_classes(weight.expand(len(logits), -1), labels)
        return pair_loss(logits, labels, same, torch.zeros_like(shares), halves)

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return (
            f"eta={self.eta}, sides={self.sides!r}, eta_power={self.eta_power}, classes={self.classes}, "
            f"ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}, "
            f"reduction={self.reduction!r}"
        )
