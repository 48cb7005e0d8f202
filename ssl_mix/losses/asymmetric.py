"""The asymmetric strategy's loss: a true label mixed with a pseudo-label, and only the true one decoupled."""

import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_share
from ssl_mix.losses._common import Reduction, check_labels, check_options
from ssl_mix.losses._pairs import IGNORED, as_pairs, check_class_weights, check_ignore_index, full_rows
from ssl_mix.losses.decoupled import half_weights
from ssl_mix.losses.dense import PlainTarget, named
from ssl_mix.losses.mixup import smoothed
from ssl_mix.losses.remainder import pair_loss
from ssl_mix.types import MixedTarget


def asymmetric_mixup_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    pseudo_labels: Tensor,
    lam: Tensor | float,
    *,
    mask: Tensor | None = None,
    eta: float = 0.1,
    eta_power: float = 0.0,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """AS: ``mask * [lam CE(y) + (1 - lam) CE(v) + eta (2 lam)^eta_power (-log phi(y, v))]`` per sample.

    ``y`` is the label of the labeled image, ``v`` the pseudo-label for the unlabeled one, ``phi(y, v)`` the
    softmax at y with competitor v removed. The decoupled term is 0 where y == v or lam is 0 or 1.

    Args:
        logits: of the mixed images, (N, C) float, or (N, C, d1, ...) with labels (N, d1, ...); half precision
            is computed in float32.
        labels: classes of the labeled images, (N,) int64.
        pseudo_labels: predicted classes of the unlabeled images, (N,) int64.
        lam: share of the **labeled** image, below 0.5 in the paper, (N,) or one number.
        mask: confidence mask of the pseudo-labels, (N,), bool or float; weighs the whole mixed sample. None:
            all count. Where it is 0, a label that is no class, such as -1, is not looked at.
        eta: weight of the decoupled term.
        eta_power: 0 is the paper; above 0 the decoupled term fades with the labeled share.
        weight: of each class, (C,) float; in the decoupled term that of the true class.
        ignore_index: a label that counts nothing. A pair of which one label is ignored is an unmixed image of
            the other class that counts by that class's share.
        label_smoothing: share of the cross-entropy's target that is spread over all classes.
        reduction: "mean" over **all** N samples, masked ones counted, with class weights or ignored labels
            over the sum of what counts; "sum"; or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or the reduction is wrong.

    Source: Liu et al. (NeurIPS 2023), asymmetrical strategy. Differs: the mask weighs the whole sample,
    because most of the image is the unlabeled one, and the sign that the printed equation lost is put back.

    Examples:
        >>> logits, labels, pseudo_labels = torch.zeros(2, 4), torch.tensor([0, 0]), torch.tensor([1, 1])
        >>> mask = torch.tensor([True, False])  # log 4 + 0.1 log 3, and nothing
        >>> asymmetric_mixup_cross_entropy(logits, labels, pseudo_labels, 0.3, mask=mask, reduction="none")
        tensor([1.4962, 0.0000])
    """
    logits = full_rows(logits)
    check_labels(logits, labels=labels, pseudo_labels=pseudo_labels)
    check_options(reduction=reduction, eta=eta, eta_power=eta_power)
    check_ignore_index(ignore_index)
    check_share("label_smoothing", label_smoothing)
    if mask is not None:
        check_mask(mask, labels)
        labels, pseudo_labels = unseen(labels, pseudo_labels, mask, logits.shape[1], ignore_index)
    pairs = as_pairs(logits, lam, weight, ignore_index, labels=labels, pseudo_labels=pseudo_labels)
    halves = half_weights(pairs.mixed, pairs.shares) * (eta * (2 * pairs.shares) ** eta_power)
    # The pseudo-label is uncertain: only the true label is decoupled.
    halves = F.pad(pairs.weighted(halves)[:, :1], (0, 1))
    values = pair_loss(pairs.logits, pairs.classes, pairs.same, pairs.weighted(pairs.shares), halves)
    values = smoothed(values, pairs, weight, label_smoothing)
    if mask is not None:
        values = mask.flatten().to(values.dtype) * values
    return pairs.reduce(values, reduction)


def check_mask(mask: Tensor, labels: Tensor) -> None:
    """Raise unless there is one value per label."""
    if not isinstance(mask, Tensor) or mask.shape != labels.shape:
        got = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise UserError(f"mask must be {tuple(labels.shape)}, one value per sample, got {got}")


def unseen(
    labels: Tensor, pseudo_labels: Tensor, mask: Tensor, classes: int, ignore_index: int
) -> tuple[Tensor, Tensor]:
    """The labels, with those that are no class replaced where the mask is 0: they count nothing but must not
    fail."""

    def free(given: Tensor) -> Tensor:
        return (mask == 0) & ((given < 0) | (given >= classes)) & (given != ignore_index)

    labels = labels.masked_fill(free(labels), 0)
    return labels, pseudo_labels.where(~free(pseudo_labels), labels)


class AsymmetricMixupLoss(nn.Module):
    """AS as a criterion: ``labels_a`` of the target are true labels, ``labels_b`` pseudo-labels, ``lam`` the
    labeled share.

    ``criterion(logits, target)``, or ``criterion(logits, target, mask)`` with the confidence masks (N,) of
    the pseudo-labels. Dense targets are refused: they have lost which class is the true one. Formula:
    :func:`ssl_mix.losses.asymmetric_mixup_cross_entropy`.

    Args:
        eta: weight of the decoupled term.
        eta_power: 0 is the paper; above 0 the decoupled term fades with the labeled share.
        weight: of each class, (C,) float; in the decoupled term that of the true class.
        ignore_index: a label that counts nothing. A pair of which one label is ignored is an unmixed image of
            the other class that counts by that class's share.
        label_smoothing: share of the cross-entropy's target that is spread over all classes.
        reduction: "mean" over all samples, masked ones counted; "sum" or "none".

    Raises:
        ValueError: the target is no :class:`MixedTarget`, or a shape is wrong.

    Examples:
        >>> target = torch.tensor([0]), torch.tensor([1]), torch.tensor([0.3])
        >>> AsymmetricMixupLoss(eta=0.1)(torch.zeros(1, 4), target)  # log 4 + 0.1 log 3
        tensor(1.4962)
    """

    weight: Tensor | None

    def __init__(
        self,
        eta: float = 0.1,
        *,
        eta_power: float = 0.0,
        weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_options(reduction=reduction, eta=eta, eta_power=eta_power)
        check_class_weights(weight)
        check_ignore_index(ignore_index)
        check_share("label_smoothing", label_smoothing)
        self.eta, self.eta_power, self.reduction = eta, eta_power, reduction
        self.ignore_index, self.label_smoothing = ignore_index, label_smoothing
        self.register_buffer("weight", weight)

    def forward(
        self, logits: Tensor, target: MixedTarget | PlainTarget, mask: Tensor | None = None
    ) -> Tensor:
        """The loss for logits (N, C), a :class:`MixedTarget` and the confidence mask (N,) of the
        pseudo-labels."""
        mixed = named(target)
        if not isinstance(mixed, MixedTarget):
            raise UserError(
                "target must be a MixedTarget(labels, pseudo_labels, lam): a dense target does not say "
                f"which class is the true one; got {type(target).__name__}"
            )
        return asymmetric_mixup_cross_entropy(
            logits,
            *mixed,
            mask=mask,
            eta=self.eta,
            eta_power=self.eta_power,
            weight=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return (
            f"eta={self.eta}, eta_power={self.eta_power}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, reduction={self.reduction!r}"
        )
