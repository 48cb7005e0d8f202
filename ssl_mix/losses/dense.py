"""Targets of a criterion: which classes, with which weights, are behind a distribution over all classes."""

from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses._common import check_labels, weight_like
from ssl_mix.types import MixedTarget

PlainTarget = tuple[Tensor, Tensor, Tensor | float]


def decode_classes(target: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The mixed classes and their weights behind dense targets (N, C), label smoothing removed.

    A row is understood as at most ``classes`` classes plus uniform label smoothing. The classes are its
    largest entries, the largest first. With more columns than ``classes``, the smallest entry is what label
    smoothing gave to every class. With exactly ``classes`` columns smoothing cannot be told from mixing:
    nothing is removed, and smoothed rows count as mixed. A class of weight 0 is none: its place repeats the
    first class, with weight 0.

    Args:
        target: rows of class probabilities, (N, C) float.
        classes: how many classes an image may mix, ``K``, at most C.

    Returns:
        Classes (N, K) int64 and weights (N, K) that sum to 1.
    """
    top, found = target.topk(classes, dim=1)
    offset = target.amin(dim=1, keepdim=True) if target.shape[1] > classes else target.new_zeros(())
    weights = (top - offset).clamp(min=0)
    total = weights.sum(dim=1, keepdim=True)
    first = weights.new_zeros(classes)
    first[0] = 1
    return found.where(weights > 0, found[:, :1]), (weights / total).where(total > 0, first)


def decode_mixed_target(target: Tensor) -> MixedTarget:
    """:func:`decode_classes` for two classes: ``labels_a`` has the larger weight; a row of one class has a ==
    b, lam = 1."""
    labels, weights = decode_classes(target, 2)
    return MixedTarget(labels[:, 0], labels[:, 1], weights[:, 0])


def check_target(logits: Tensor, target: Tensor, classes: int = 2) -> None:
    """Raise unless ``target`` is labels (N,) int64, or class distributions like ``logits`` of at least
    ``classes`` columns."""
    if not isinstance(target, Tensor):
        raise UserError(
            "target must be a MixedTarget, (labels_a, labels_b, lam), float class distributions or int64 "
            "labels, "
            f"got {type(target).__name__}"
        )
    if target.ndim == 1:
        check_labels(logits, target=target)
    elif target.shape != logits.shape or target.shape[1] < classes or not target.is_floating_point():
        raise UserError(
            f"target must be a MixedTarget, float class distributions {tuple(logits.shape)} of at least "
            f"{classes} "
            f"classes or int64 labels ({len(logits)},), got {target.dtype} {tuple(target.shape)}"
        )


def named(logits: Tensor, target: MixedTarget | PlainTarget | Tensor) -> MixedTarget | Tensor:
    """A plain tuple ``(labels_a, labels_b, lam)`` as a :class:`MixedTarget`, anything else as it is."""
    if type(target) is tuple and len(target) == 3:
        return MixedTarget(target[0], target[1], weight_like("lam", target[2], logits))
    return target  # type: ignore[return-value]


def mixed_target(logits: Tensor, target: MixedTarget | PlainTarget | Tensor) -> MixedTarget:
    """Any target of a criterion as a :class:`MixedTarget`; labels are pairs of one class with lam = 1."""
    target = named(logits, target)
    if isinstance(target, MixedTarget):
        return target
    check_target(logits, target)
    if target.ndim == 1:
        return MixedTarget(target, target, logits.new_ones(len(target)))
    return decode_mixed_target(target.to(logits.dtype))
