"""Decoupling where an image mixes more than two classes: each is recognized against all that are not in the
image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError, check_not_negative
from ssl_mix.losses._common import Reduction, reduce
from ssl_mix.losses.remainder import remainder_gap
from ssl_mix.passes import full_precision


def _merged(labels: Tensor, weights: Tensor) -> Tensor:
    """Weights (N, K) with all of a repeated class at its first place; 0 everywhere in rows of a single
    class."""
    same = labels[:, :, None] == labels[:, None, :]
    repeated = same.tril(-1).any(dim=2)
    several = ~same.all(dim=2).all(dim=1, keepdim=True)
    return (same * weights[:, None, :]).sum(dim=2) * (several & ~repeated)


def _check(name: str, given: Tensor, right_type: bool, logits: Tensor, labels: Tensor) -> None:
    """Raise unless ``given`` is (N, K) like ``labels`` and of the right type."""
    if given.ndim != 2 or given.shape != labels.shape or len(given) != len(logits) or not right_type:
        raise UserError(
            f"{name} must be ({len(logits)}, K), labels int64 and weights float of one shape, "
            f"got {given.dtype} {tuple(given.shape)}"
        )


def multiway_decoupled_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    *,
    eta_power: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """``D = -sum over mixed classes k of log phi(k)``, where ``phi`` removes all other mixed classes from the
    softmax.

    With K = 2 this is :func:`ssl_mix.losses.decoupled_cross_entropy`. The softmax of every class lacks all
    other listed classes. A repeated class is one class with the sum of its weights, a class of weight 0 has
    no term of its own, and a row of one class has none at all: a place that an image does not use repeats one
    of its classes with weight 0.

    Args:
        logits: (N, C) float; half precision is computed in float32.
        labels: the mixed classes, (N, K) int64.
        weights: their label weights, (N, K) float, each row summing to 1.
        eta_power: each term is multiplied by its own weight to this power; 0 is the paper.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Source: Liu et al. (NeurIPS 2023), extended from two classes to any number, as mixers of many images need.

    Examples:
        >>> labels, weights = torch.tensor([[0, 1, 2]]), torch.tensor([[0.5, 0.3, 0.2]])
        >>> multiway_decoupled_cross_entropy(torch.zeros(1, 5), labels, weights)  # 3 log 3
        tensor(3.2958)
    """
    logits = full_precision(logits)
    check_not_negative("eta_power", eta_power)
    _check("labels", labels, labels.dtype == torch.int64, logits, labels)
    _check("weights", weights, weights.is_floating_point(), logits, labels)
    gap = remainder_gap(logits, labels)
    own = _merged(labels, weights.to(logits.device, logits.dtype))
    return reduce(((own > 0) * own**eta_power * F.softplus(gap, threshold=50)).sum(dim=1), reduction)
