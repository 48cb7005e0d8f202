"""What every loss does first and last: check its arguments, compute in float32 or better, reduce."""

from typing import Literal

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_share

Reduction = Literal["mean", "none", "sum"]


def full_precision(logits: Tensor) -> Tensor:
    """Logits in float32, or as they are where they already hold float32 or float64."""
    if logits.ndim != 2 or not logits.is_floating_point():
        raise UserError(f"logits must be float (N, C), got {logits.dtype} {tuple(logits.shape)}")
    return logits if logits.dtype == torch.float64 else logits.float()


def check_labels(logits: Tensor, **labels: Tensor) -> None:
    """Raise unless all named ``labels`` are int64 (N,) for logits (N, C)."""
    for name, given in labels.items():
        if given.dtype != torch.int64 or given.shape != logits.shape[:1]:
            raise UserError(
                f"{name} must be int64 ({logits.shape[0]},) like the first axis of the logits, "
                f"got {given.dtype} {tuple(given.shape)}"
            )


def weight_like(name: str, weight: Tensor | float, logits: Tensor) -> Tensor:
    """A weight per sample (N,), or one for all, as a tensor in the dtype and on the device of ``logits``."""
    if isinstance(weight, Tensor):
        if weight.shape not in ((), logits.shape[:1]):
            raise UserError(
                f"{name} must be a number or ({logits.shape[0]},), one value per sample, got {tuple(weight.shape)}"
            )
        return weight.to(logits.device, logits.dtype)
    check_share(name, weight)
    return logits.new_full((), weight)


def reduce(values: Tensor, reduction: Reduction) -> Tensor:
    """Mean or sum over the samples, or the values (N,) as they are."""
    if reduction == "mean":
        return values.mean()
    if reduction == "sum":
        return values.sum()
    if reduction == "none":
        return values
    raise UserError(f"reduction must be 'mean', 'none' or 'sum', got {reduction!r}")
