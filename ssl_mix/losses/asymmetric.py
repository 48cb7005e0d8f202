"""The asymmetric strategy's loss: a true label mixed with a pseudo-label, and only the true one decoupled."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.losses._common import Reduction, check_labels, check_options, reduce, weight_like
from ssl_mix.losses.decoupled import both_weights, half_weights
from ssl_mix.losses.dense import PlainTarget, named
from ssl_mix.losses.remainder import pair_loss
from ssl_mix.passes import full_precision
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
    reduction: Reduction = "mean",
) -> Tensor:
    """AS: ``mask * [lam CE(y) + (1 - lam) CE(v) + eta (2 lam)^eta_power (-log phi(y, v))]`` per sample.

    ``y`` is the label of the labeled image, ``v`` the pseudo-label for the unlabeled one, ``phi(y, v)`` the
    softmax at y with competitor v removed. The decoupled term is 0 where y == v or lam == 0.

    Args:
        logits: of the mixed images, (N, C) float; half precision is computed in float32.
        labels: classes of the labeled images, (N,) int64.
        pseudo_labels: predicted classes of the unlabeled images, (N,) int64.
        lam: share of the **labeled** image, below 0.5 in the paper, (N,) or one number.
        mask: confidence mask of the pseudo-labels, (N,), bool or float; weighs the whole mixed sample. None:
            all count.
        eta: weight of the decoupled term.
        eta_power: 0 is the paper; above 0 the decoupled term fades with the labeled share.
        reduction: "mean" over **all** N samples, masked ones counted; "sum"; or "none" for the (N,) losses.

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
    logits = full_precision(logits)
    check_labels(logits, labels=labels, pseudo_labels=pseudo_labels)
    check_options(reduction=reduction, eta=eta, eta_power=eta_power)
    shares = both_weights(weight_like("lam", lam, logits))
    halves = eta * half_weights(labels, pseudo_labels, shares) * (2 * shares) ** eta_power
    halves = F.pad(halves[:, :1], (0, 1))  # the pseudo-label is uncertain: only the true label is decoupled
    weights = torch.cat((shares.expand_as(halves), halves), dim=1)
    values = pair_loss(logits, labels, pseudo_labels, weights)
    if mask is not None:
        if mask.shape != values.shape:
            raise UserError(
                f"mask must be {tuple(values.shape)}, one value per sample, got {tuple(mask.shape)}"
            )
        values = mask.to(values.dtype) * values
    return reduce(values, reduction)


class AsymmetricMixupLoss(nn.Module):
    """AS as a criterion: ``labels_a`` of the target are true labels, ``labels_b`` pseudo-labels, ``lam`` the
    labeled share.

    ``criterion(logits, target)``, or ``criterion(logits, target, mask)`` with the confidence masks (N,) of
    the pseudo-labels. Dense targets are refused: they have lost which class is the true one. Formula:
    :func:`ssl_mix.losses.asymmetric_mixup_cross_entropy`.

    Args:
        eta: weight of the decoupled term.
        eta_power: 0 is the paper; above 0 the decoupled term fades with the labeled share.
        reduction: "mean" over all samples, masked ones counted; "sum" or "none".

    Raises:
        ValueError: the target is no :class:`MixedTarget`, or a shape is wrong.

    Examples:
        >>> target = torch.tensor([0]), torch.tensor([1]), torch.tensor([0.3])
        >>> AsymmetricMixupLoss(eta=0.1)(torch.zeros(1, 4), target)  # log 4 + 0.1 log 3
        tensor(1.4962)
    """

    def __init__(self, eta: float = 0.1, *, eta_power: float = 0.0, reduction: Reduction = "mean") -> None:
        super().__init__()
        check_options(reduction=reduction, eta=eta, eta_power=eta_power)
        self.eta, self.eta_power, self.reduction = eta, eta_power, reduction

    def forward(
        self, logits: Tensor, target: MixedTarget | PlainTarget, mask: Tensor | None = None
    ) -> Tensor:
        """The loss for logits (N, C), a :class:`MixedTarget` and the confidence mask (N,) of the
        pseudo-labels."""
        logits = full_precision(logits)
        mixed = named(logits, target)
        if not isinstance(mixed, MixedTarget):
            raise UserError(
                "target must be a MixedTarget(labels, pseudo_labels, lam): a dense target does not say "
                "which class "
                f"is the true one; got {type(target).__name__}"
            )
        return asymmetric_mixup_cross_entropy(
            logits, *mixed, mask=mask, eta=self.eta, eta_power=self.eta_power, reduction=self.reduction
        )

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return f"eta={self.eta}, eta_power={self.eta_power}, reduction={self.reduction!r}"
