"""Targets of a criterion: which classes, with which weights, are behind a distribution over all classes."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses._common import check_labels, check_some, readable
from ssl_mix.losses._pairs import class_weights, labels_error
from ssl_mix.types import MixedTarget

PlainTarget = tuple[Tensor, Tensor, Tensor | float]

SUM_TOLERANCE = 0.01  # what rounding a row to bfloat16 may do to its sum


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


def check_target(logits: Tensor, target: Tensor, classes: int = 2) -> None:
    """Raise unless ``target`` is int64 labels (N, ...), or class distributions like the logits (N, C, ...) of
    at least ``classes`` columns."""
    if not isinstance(target, Tensor):
        raise UserError(
            "target must be a MixedTarget, (labels_a, labels_b, lam), float class distributions or int64 "
            f"labels, got {type(target).__name__}"
        )
    if target.dtype == torch.int64 and target.ndim == logits.ndim - 1:
        check_labels(logits, target=target)
    elif target.shape != logits.shape or target.shape[1] < classes or not target.is_floating_point():
        raise UserError(
            f"target must be a MixedTarget, float class distributions {tuple(logits.shape)} of at least "
            f"{classes} classes or int64 labels {(len(logits), *logits.shape[2:])}, got {target.dtype} "
            f"{tuple(target.shape)}{_conversion(logits, target)}"
        )


def _conversion(logits: Tensor, target: Tensor) -> str:
    """What makes a target of another number type one that counts; nothing where its shape fits none."""
    if target.shape == logits.shape:
        return ": pass target.float()"
    labels = (len(logits), *logits.shape[2:])
    if tuple(target.shape) == labels:
        return ": pass target.long()"
    return ": pass target.squeeze(1)" if tuple(target.shape) == (labels[0], 1, *labels[1:]) else ""


def check_dense(target: Tensor, ignore_index: int) -> None:
    """Raise unless the rows (M, C) are class distributions: each sums to 1, where that can be looked at."""
    if ignore_index >= 0:
        raise UserError(f"ignore_index={ignore_index} is for labels: a dense target has none to ignore")
    if not readable(target) or len(target) == 0:
        return
    worst = (target.sum(1) - 1).abs().max().item()
    if not worst <= SUM_TOLERANCE:
        raise UserError(
            f"rows of a dense target must sum to 1, got one that is {worst:.4g} away: for labels that do not "
            "exclude each other take DecoupledMixupBCELoss"
        )


def plain_loss(criterion: Any, logits: Tensor, labels: Tensor) -> Tensor:
    """``torch.nn.functional.cross_entropy`` of plain labels, by the options of ``criterion``."""
    weight = None if criterion.weight is None else class_weights(criterion.weight, logits)
    if criterion.reduction == "mean":
        check_some(labels)
    try:
        return F.cross_entropy(
            logits,
            labels,
            weight=weight,
            ignore_index=criterion.ignore_index,
            label_smoothing=criterion.label_smoothing,
            reduction=criterion.reduction,
        )
    except IndexError as error:
        raise labels_error(labels, logits.shape[1], criterion.ignore_index) or error from error


def named(target: MixedTarget | PlainTarget | Tensor) -> MixedTarget | Tensor:
    """A plain tuple ``(labels_a, labels_b, lam)``, or the list that pinning memory makes of one, as a
    :class:`MixedTarget`, anything else as it is."""
    if type(target) in (tuple, list) and len(target) == 3 and isinstance(target[0], Tensor):
        return MixedTarget(*target)
    return target  # type: ignore[return-value]
