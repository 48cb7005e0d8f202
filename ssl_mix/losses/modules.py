"""The losses as modules that take ``(logits, target)``, for training loops that call ``criterion(output, target)``."""

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_not_negative
from ssl_mix.losses._common import Reduction, check_labels, full_precision, reduce
from ssl_mix.losses.asymmetric import asymmetric_mixup_cross_entropy
from ssl_mix.losses.decoupled import Sides, decoupled_cross_entropy, decoupled_mixup_cross_entropy
from ssl_mix.types import MixedTarget


def decode_mixed_target(target: Tensor) -> MixedTarget:
    """The two classes and the weight behind dense targets (N, C) of Mixup or CutMix, label smoothing removed.

    The classes are the two largest entries of a row, ``labels_a`` the larger. From three classes on, the smallest entry is
    what label smoothing gave to every class; a row with nothing above it but one entry is one class: a == b, lam = 1.
    """
    top, classes = target.topk(2, dim=1)
    offset = target.amin(dim=1) if target.shape[1] > 2 else target.new_zeros(len(target))
    first, second = (top - offset[:, None]).unbind(1)
    single = second <= 0
    labels_a = classes[:, 0]
    return MixedTarget(
        labels_a=labels_a,
        labels_b=labels_a.where(single, classes[:, 1]),
        lam=(first / (first + second)).masked_fill(single, 1.0),
    )


class DecoupledMixupLoss(nn.Module):
    """DM(CE) as a criterion, a drop-in where timm or torchvision hand over soft targets.

    ``loss = cross-entropy(logits, target) + eta * D``, see :func:`ssl_mix.losses.decoupled_mixup_cross_entropy`. A dense
    target (N, C) is used as it is in the cross-entropy, label smoothing included; ``D`` decodes its two classes. Rows of one
    class, smoothed or not, and labels (N,) int64 get plain cross-entropy.

    Args:
        eta: weight of the decoupled term; 0.1 for static mixers, 1 for dynamic ones.
        sides: "both", or only the half of the class with the "minor" or "major" weight.
        eta_power: each half is multiplied by its own weight to this power; 0 is the paper.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ValueError: the target's shape or type does not fit the logits, or an option is wrong.

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
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_not_negative("eta", eta)
        self.eta, self.sides, self.eta_power, self.reduction = eta, sides, eta_power, reduction

    def forward(self, logits: Tensor, target: MixedTarget | Tensor) -> Tensor:
        """The loss for logits (N, C) and a :class:`MixedTarget`, dense targets (N, C) or labels (N,)."""
        sides, power = self.sides, self.eta_power
        if isinstance(target, MixedTarget):
            return decoupled_mixup_cross_entropy(
                logits, *target, eta=self.eta, sides=sides, eta_power=power, reduction=self.reduction
            )
        logits = full_precision(logits)
        if target.ndim == 1:
            check_labels(logits, target=target)
            return reduce(F.cross_entropy(logits, target, reduction="none"), self.reduction)
        if target.shape != logits.shape or target.shape[1] < 2 or not target.is_floating_point():
            raise UserError(
                f"target must be a MixedTarget, float class distributions {tuple(logits.shape)} or int64 labels "
                f"({len(logits)},), got {target.dtype} {tuple(target.shape)}"
            )
        target = target.to(logits.dtype)
        a, b, lam = decode_mixed_target(target)
        decoupled = decoupled_cross_entropy(logits, a, b, lam, sides=sides, eta_power=power, reduction="none")
        values = F.cross_entropy(logits, target, reduction="none") + self.eta * decoupled
        return reduce(values, self.reduction)

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return (
            f"eta={self.eta}, sides={self.sides!r}, eta_power={self.eta_power}, reduction={self.reduction!r}"
        )


class AsymmetricMixupLoss(nn.Module):
    """AS as a criterion: ``labels_a`` of the target are true labels, ``labels_b`` guesses, ``lam`` the labelled share.

    Dense targets are refused: they have lost which class is the true one. Formula:
    :func:`ssl_mix.losses.asymmetric_mixup_cross_entropy`.

    Args:
        eta: weight of the decoupled term.
        eta_power: 0 is the paper; above 0 the decoupled term fades with the labelled share.
        reduction: "mean" over all samples, masked ones counted; "sum" or "none".

    Raises:
        ValueError: the target is no :class:`MixedTarget`, or a shape is wrong.
    """

    def __init__(self, eta: float = 0.1, *, eta_power: float = 0.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_not_negative("eta", eta)
        self.eta, self.eta_power, self.reduction = eta, eta_power, reduction

    def forward(self, logits: Tensor, target: MixedTarget, mask: Tensor | None = None) -> Tensor:
        """The loss for logits (N, C), a :class:`MixedTarget` and the confidence mask (N,) of the guesses."""
        if not isinstance(target, MixedTarget):
            raise UserError(
                "target must be a MixedTarget(labels, pseudo_labels, lam): a dense target does not say which class "
                f"is the true one; got {type(target).__name__}"
            )
        return asymmetric_mixup_cross_entropy(
            logits, *target, mask=mask, eta=self.eta, eta_power=self.eta_power, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return f"eta={self.eta}, eta_power={self.eta_power}, reduction={self.reduction!r}"
