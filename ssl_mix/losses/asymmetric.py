"""The asymmetric strategy's loss: a true label mixed with a guessed one, and only the true one decoupled."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses._common import (
    Reduction,
    check_labels,
    check_options,
    full_precision,
    reduce,
    weight_like,
)
from ssl_mix.losses.decoupled import both_weights, half_weights
from ssl_mix.losses.remainder import pair_loss


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

    ``y`` is the label of the labelled picture, ``v`` the guess for the unlabelled one, ``phi(y, v)`` the softmax at y with
    competitor v removed. The decoupled term is 0 where y == v or lam == 0.

    Args:
        logits: of the mixed pictures, (N, C) float; half precision is computed in float32.
        labels: classes of the labelled pictures, (N,) int64.
        pseudo_labels: guessed classes of the unlabelled pictures, (N,) int64.
        lam: share of the **labelled** picture, below 0.5 in the paper, (N,) or one number.
        mask: confidence mask of the guesses, (N,), bool or float; weighs the whole mixed sample. None: all count.
        eta: weight of the decoupled term.
        eta_power: 0 is the paper; above 0 the decoupled term fades with the labelled share.
        reduction: "mean" over **all** N samples, masked ones counted; "sum"; or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or the reduction is wrong.

    Source: Liu et al. (NeurIPS 2023), asymmetrical strategy. Differs: the mask weighs the whole sample, because most of
    the picture is the unlabelled one, and the sign that the printed equation lost is put back.
    """
    logits = full_precision(logits)
    check_labels(logits, labels=labels, pseudo_labels=pseudo_labels)
    check_options(reduction=reduction, eta=eta, eta_power=eta_power)
    shares = both_weights(weight_like("lam", lam, logits))
    halves = eta * half_weights(labels, pseudo_labels, shares) * (2 * shares) ** eta_power
    halves = F.pad(halves[:, :1], (0, 1))  # the guess is uncertain: only the true label is decoupled
    weights = torch.cat((shares.expand_as(halves), halves), dim=1)
    values = pair_loss(logits, labels, pseudo_labels, weights)
    if mask is not None:
        if mask.shape != values.shape:
            raise UserError(
                f"mask must be {tuple(values.shape)}, one value per sample, got {tuple(mask.shape)}"
            )
        values = mask.to(values.dtype) * values
    return reduce(values, reduction)
