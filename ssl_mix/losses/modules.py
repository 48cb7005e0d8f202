"""The decoupled losses as modules that take ``(logits, target)``, for training loops that call ``criterion(output, target)``."""

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_count, check_share
from ssl_mix.losses._common import Reduction, Sides, check_options, full_precision, reduce
from ssl_mix.losses.asymmetric import asymmetric_mixup_cross_entropy
from ssl_mix.losses.decoupled import decoupled_cross_entropy, decoupled_mixup_cross_entropy
from ssl_mix.losses.dense import PlainTarget, check_target, decode_classes, named
from ssl_mix.losses.mixup import mixup_cross_entropy
from ssl_mix.losses.multiway import multiway_decoupled_cross_entropy
from ssl_mix.types import MixedTarget


class DecoupledMixupLoss(nn.Module):
    """DM(CE) as a criterion, a drop-in where timm or torchvision hand over soft targets.

    ``loss = cross-entropy(logits, target) + eta * D``, see :func:`ssl_mix.losses.decoupled_mixup_cross_entropy`. A dense
    target (N, C) is used as it is in the cross-entropy, label smoothing included; ``D`` decodes its classes: a row
    is understood as at most ``classes`` classes plus uniform smoothing, and smoothing of only two columns cannot be told
    from mixing. Rows of one class, smoothed or not, and labels (N,) int64 get plain cross-entropy.

    Args:
        eta: weight of the decoupled term; 0.1 for static mixers, 1 for dynamic ones.
        sides: "both", or only the half of the class with the "minor" or "major" weight.
        eta_power: each half is multiplied by its own weight to this power; 0 is the paper.
        classes: how many classes a dense target may mix. Above 2, ``D`` is
            :func:`ssl_mix.losses.multiway_decoupled_cross_entropy`.
        label_smoothing: share of the cross-entropy's target that is spread over all classes, for a :class:`MixedTarget` and
            for labels; ``D`` is untouched. A dense target brings its own.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ValueError: the target's shape or type does not fit the logits, an option is wrong, or a dense target meets
            ``label_smoothing``.

    Example:
        >>> import torch
        >>> from ssl_mix.losses import DecoupledMixupLoss
        >>> criterion = DecoupledMixupLoss(eta=0.1)
        >>> loss = criterion(torch.zeros(1, 4), torch.tensor([[0.7, 0.3, 0.0, 0.0]]))
        >>> round(loss.item(), 4)  # log 4 + 0.1 * 2 log 3
        1.606
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
        """The loss for logits (N, C) and a :class:`MixedTarget` or its plain tuple, dense targets (N, C) or labels (N,)."""
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
                f"label_smoothing={self.label_smoothing} is for a MixedTarget or labels; dense targets are used as they "
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


class AsymmetricMixupLoss(nn.Module):
    """AS as a criterion: ``labels_a`` of the target are true labels, ``labels_b`` guesses, ``lam`` the labelled share.

    ``criterion(logits, target)``, or ``criterion(logits, target, mask)`` with the confidence masks (N,) of the guesses. Dense
    targets are refused: they have lost which class is the true one. Formula: :func:`ssl_mix.losses.asymmetric_mixup_cross_entropy`.

    Args:
        eta: weight of the decoupled term.
        eta_power: 0 is the paper; above 0 the decoupled term fades with the labelled share.
        reduction: "mean" over all samples, masked ones counted; "sum" or "none".

    Raises:
        ValueError: the target is no :class:`MixedTarget`, or a shape is wrong.
    """

    def __init__(self, eta: float = 0.1, *, eta_power: float = 0.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_options(reduction=reduction, eta=eta, eta_power=eta_power)
        self.eta, self.eta_power, self.reduction = eta, eta_power, reduction

    def forward(
        self, logits: Tensor, target: MixedTarget | PlainTarget, mask: Tensor | None = None
    ) -> Tensor:
        """The loss for logits (N, C), a :class:`MixedTarget` and the confidence mask (N,) of the guesses."""
        logits = full_precision(logits)
        mixed = named(logits, target)
        if not isinstance(mixed, MixedTarget):
            raise UserError(
                "target must be a MixedTarget(labels, pseudo_labels, lam): a dense target does not say which class "
                f"is the true one; got {type(target).__name__}"
            )
        return asymmetric_mixup_cross_entropy(
            logits, *mixed, mask=mask, eta=self.eta, eta_power=self.eta_power, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return f"eta={self.eta}, eta_power={self.eta_power}, reduction={self.reduction!r}"
