"""Decoupling where an image mixes more than two classes: each is recognized against all that are not in the
image."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError, check_not_negative
from ssl_mix.losses._common import Reduction, check_meta, check_shares, reduce
from ssl_mix.losses._pairs import at_classes, class_weights, full_rows, named_classes
from ssl_mix.losses.remainder import remainder_gap
from ssl_mix.types import JointTarget


def _merged(labels: Tensor, weights: Tensor) -> Tensor:
    """Weights (N, K) with all of a repeated class at its first place; 0 everywhere in rows that show a single
    class."""
    same = labels[:, :, None] == labels[:, None, :]
    repeated = same.tril(-1).any(dim=2)
    merged = (same * weights[:, None, :]).sum(dim=2) * ~repeated
    return merged * ((merged > 0).sum(dim=1, keepdim=True) > 1)


def _check(name: str, given: Tensor, dtype: torch.dtype | None, logits: Tensor, labels: Tensor) -> None:
    """Raise unless ``given`` is (N, K) like ``labels`` for logits (N, C), of ``dtype`` or any float one."""
    fits = isinstance(given, Tensor) and given.ndim == 2 == logits.ndim and given.shape == labels.shape
    right_type = fits and (given.dtype == dtype if dtype else given.is_floating_point())
    if not (fits and right_type and len(given) == len(logits)):
        got = f"{given.dtype} {tuple(given.shape)}" if isinstance(given, Tensor) else type(given).__name__
        raise UserError(
            f"{name} must be ({len(logits)}, K) for logits (N, C), labels int64 and weights float of one "
            f"shape, got {got}"
        )
    check_meta(name, given, logits)


def check_multiway(logits: Tensor, labels: Tensor, weights: Tensor) -> None:
    """Raise unless the classes (N, K) int64 and their weights (N, K) in [0, 1] belong to logits (N, C)."""
    _check("labels", labels, torch.int64, logits, labels)
    _check("weights", weights, None, logits, labels)
    check_shares("weights", weights)


def joint_dense(logits: Tensor, target: JointTarget, *, multi_label: bool = False) -> Tensor:
    """A target that was checked against logits (N, C), as one number per class like them."""
    labels, shares = target
    if multi_label and labels.shape == (*shares.shape, logits.shape[1]) and labels.is_floating_point():
        check_shares("labels", labels)
    else:
        check_multiway(logits, labels, shares)
    dense: Tensor = named_classes(lambda scores, _: target.dense(scores.shape[1]), logits, labels)
    return dense.to(logits.dtype).clamp(max=1)


def multiway_decoupled_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor,
    *,
    eta_power: float = 0.0,
    weight: Tensor | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """``D = -sum over mixed classes k of log phi(k)``, where ``phi`` removes all other mixed classes from the
    softmax.

    With K = 2 this is :func:`ssl_mix.losses.decoupled_cross_entropy`. The softmax of every class lacks all
    other listed classes. A repeated class is one class with the sum of its weights, a class of weight 0 has
    no term of its own, and a row that shows one class has none at all: a place that an image does not use
    repeats one of its classes with weight 0.

    Args:
        logits: (N, C) float; half precision is computed in float32.
        labels: the mixed classes, (N, K) int64.
        weights: their label weights, (N, K) float, each row summing to 1.
        eta_power: each term is multiplied by its own weight to this power; 0 is the paper.
        weight: of each class, (C,) float, by which its term is multiplied.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Source: Liu et al. (NeurIPS 2023), extended from two classes to any number, as mixers of many images need.

    Examples:
        >>> labels, weights = torch.tensor([[0, 1, 2]]), torch.tensor([[0.5, 0.3, 0.2]])
        >>> multiway_decoupled_cross_entropy(torch.zeros(1, 5), labels, weights)  # 3 log 3
        tensor(3.2958)
    """
    logits = full_rows(logits)
    check_not_negative("eta_power", eta_power)
    check_multiway(logits, labels, weights)
    own = _merged(labels, weights.to(logits.device, logits.dtype))
    price = (own > 0) * own**eta_power
    if weight is not None:
        price = price * at_classes(class_weights(weight, logits).expand(len(logits), -1), labels)
    return reduce((price * F.softplus(remainder_gap(logits, labels), threshold=50)).sum(dim=1), reduction)
