"""Mixed samples as every loss sees them: rows of logits, two classes and their shares.

PyTorch's conventions for two labels. A label that equals ``ignore_index`` counts nothing: a pair of which one
is ignored is an unmixed image of the other class that counts by that class's share; a pair of two ignored
labels counts nothing at all. With class weights w, each class counts ``share * w``. "mean" divides by the sum
of what counts, as ``torch.nn.CrossEntropyLoss`` does for one label: where lam is 1 the two are equal.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses._common import (
    Reduction,
    check_labels,
    check_least,
    check_meta,
    readable,
    reduce,
    weight_like,
)

IGNORED = -100


class Pairs(NamedTuple):
    """Mixed samples, one a row.

    Attributes:
        logits: (M, C) in full precision.
        classes: (M, 2) int64, 0 in the place of an ignored label.
        same: whether the two are one class, (M, 1) bool.
        shares: label weights of both, (M, 2), 0 for an ignored label.
        mixed: whether the image shows two classes, (M, 1) bool.
        kept: the share that is not ignored, (M,), exactly 1 where no label is; None where no label of all is.
        weights: class weights of both, (M, 2), or None.
        shape: of the losses without reduction.
    """

    logits: Tensor
    classes: Tensor
    same: Tensor
    shares: Tensor
    mixed: Tensor
    kept: Tensor | None
    weights: Tensor | None
    shape: torch.Size

    def weighted(self, values: Tensor) -> Tensor:
        """Values (M, 2) of the two classes, or (M, 1) of both, times their class weights."""
        return values if self.weights is None else values * self.weights

    def of_kept(self, values: Tensor) -> Tensor:
        """Values (M,) times the share that is not ignored."""
        return values if self.kept is None else self.kept * values

    def alone(self) -> Tensor:
        """The shares as if a pair with an ignored label were an image of the other class, (M, 2)."""
        return self.shares if self.kept is None else self.shares / self.kept.where(self.kept > 0, 1)[:, None]

    def reduce(self, values: Tensor, reduction: Reduction) -> Tensor:
        """The losses (M,), reduced as PyTorch does: "mean" divides by the sum of what counts."""
        if reduction == "mean":
            return reduce(values, reduction, self.total())
        return reduce(values.view(self.shape), reduction)

    def total(self) -> Tensor | None:
        """The sum of what counts, 0-d; None where every sample counts once."""
        if self.weights is not None:
            return (self.shares * self.weights).sum()
        return None if self.kept is None else self.kept.sum()


def rows(values: Tensor) -> Tensor:
    """(N, C, d1, ...) as (M, C), one row for each place; (N, C) as it is."""
    return values if values.ndim == 2 else values.movedim(1, -1).flatten(0, -2)


def full_rows(logits: Tensor) -> Tensor:
    """Logits (N, C) or (N, C, d1, ...) in float32, or in float64 where they are."""
    if not isinstance(logits, Tensor) or logits.ndim < 2 or not logits.is_floating_point():
        got = f"{logits.dtype} {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"logits must be float (N, C) or (N, C, d1, ...), got {got}")
    return logits if logits.dtype == torch.float64 else logits.float()


def as_pairs(
    logits: Tensor,
    lam: Tensor | float,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    **labels: Tensor,
) -> Pairs:
    """Checked rows of a loss: logits (N, C, ...), two named labels (N, ...), lam one number, (N,) or like the
    labels."""
    logits = full_rows(logits)
    check_labels(logits, **labels)
    shape = next(iter(labels.values())).shape
    share = flat_share("lam", lam, logits, shape)
    logits, (first, second) = rows(logits), (given.flatten() for given in labels.values())
    share = share.expand(len(logits)) if share.ndim == 0 else share
    classes, shares, kept = torch.stack((first, second), 1), torch.stack((share, 1 - share), 1), None
    if _may_ignore(classes, ignore_index):
        ignored = classes == ignore_index
        kept = 1 - (shares * ignored).sum(1)
        classes, shares = classes.masked_fill(ignored, 0), shares.masked_fill(ignored, 0)
        first, second = classes.unbind(1)
    same = (first == second).unsqueeze(1)
    least = shares.detach().amin(1, keepdim=True)
    check_least("lam", least)
    weights = None if weight is None else _weights_at(weight, logits, classes)
    return Pairs(logits, classes, same, shares, least > same, kept, weights, shape)


def _may_ignore(classes: Tensor, ignore_index: int) -> bool:
    """Whether a label may equal ``ignore_index``: without a look, any may."""
    if not readable(classes) or classes.numel() == 0:
        return True
    return ignore_index >= 0 or classes.min().item() < 0


def _weights_at(weight: Tensor, logits: Tensor, classes: Tensor) -> Tensor:
    """Class weights (C,) at the classes (M, 2)."""
    return at_classes(class_weights(weight, logits).expand(len(logits), -1), classes)


def flat_share(name: str, share: Tensor | float, logits: Tensor, shape: torch.Size) -> Tensor:
    """A share for labels of ``shape``, one number, (N,) or one per label, as 0-d or flat (M,)."""
    if len(shape) == 1 or not isinstance(share, Tensor) or share.ndim == 0:
        return weight_like(name, share, logits)
    if share.shape not in (shape, shape[:1]):
        raise UserError(
            f"{name} must be a number, ({shape[0]},) or {tuple(shape)}, one value per label, got "
            f"{tuple(share.shape)}"
        )
    check_meta(name, share, logits)
    share = share.view(-1, *[1] * (len(shape) - 1)) if share.ndim == 1 else share
    return share.to(logits.device, logits.dtype).broadcast_to(shape).flatten()


def class_weights(weight: Tensor, logits: Tensor) -> Tensor:
    """The weight (C,) of each class in the dtype and on the device of ``logits`` (M, C)."""
    check_class_weights(weight)
    if weight.shape != logits.shape[1:2]:
        raise UserError(f"weight must be ({logits.shape[1]},), one per class, got {tuple(weight.shape)}")
    return weight.to(logits.device, logits.dtype)


def check_class_weights(weight: Tensor | None) -> None:
    """Raise unless ``weight`` is None or a float tensor (C,)."""
    if weight is None or (isinstance(weight, Tensor) and weight.ndim == 1 and weight.is_floating_point()):
        return
    got = f"{weight.dtype} {tuple(weight.shape)}" if isinstance(weight, Tensor) else type(weight).__name__
    raise UserError(f"weight must be a float tensor (C,), one per class, got {got}")


def check_ignore_index(ignore_index: int) -> None:
    """Raise unless ``ignore_index`` is a whole number."""
    if not isinstance(ignore_index, int) or isinstance(ignore_index, bool):
        raise UserError(f"ignore_index must be a whole number such as -100, got {ignore_index!r}")


def at_classes(values: Tensor, classes: Tensor) -> Tensor:
    """``values[n, classes[n, k]]``, (M, K), of (M, C) and (M, K)."""
    found: Tensor = named_classes(_gather, values, classes)
    return found


def _gather(values: Tensor, classes: Tensor) -> Tensor:
    return values.gather(1, classes)


def named_classes(function: Callable[..., Any], values: Tensor, classes: Tensor, *rest: Any) -> Any:
    """``function(values, classes, *rest)``; where it fails for a class that (M, C) has not, the error says
    so."""
    if torch.compiler.is_compiling():
        return function(values, classes, *rest)
    try:
        return function(values, classes, *rest)
    except (IndexError, RuntimeError) as error:
        wrong = labels_error(classes, values.shape[1]) if readable(classes) else None
        raise wrong or error from error


def labels_error(classes: Tensor, count: int, ignore_index: int = 0) -> UserError | None:
    """The error for classes beyond 0 .. count - 1 and other than ``ignore_index``, or None if there are
    none."""
    wrong = classes[((classes < 0) | (classes >= count)) & (classes != ignore_index)]
    if not len(wrong):
        return None
    return UserError(
        f"labels must lie in [0, {count - 1}] for logits of {count} classes, or equal ignore_index, "
        f"got {wrong[0].item()}"
    )
