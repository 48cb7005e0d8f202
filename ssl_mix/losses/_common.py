"""What every loss does first and last: check its arguments, reduce."""

from typing import Literal

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_not_negative, check_share

Reduction = Literal["mean", "none", "sum"]
Sides = Literal["both", "minor", "major"]


def check_options(
    *, reduction: str = "mean", sides: str = "both", eta: float = 0.0, eta_power: float = 0.0
) -> None:
    """Raise unless the options that the losses share are what they may be."""
    check_choice("reduction", reduction, ("mean", "none", "sum"))
    check_choice("sides", sides, ("both", "minor", "major"))
    check_not_negative("eta", eta)
    check_not_negative("eta_power", eta_power)


def check_labels(logits: Tensor, **labels: Tensor) -> None:
    """Raise unless all named ``labels`` are int64 (N,) for logits (N, C)."""
    for name, given in labels.items():
        if not isinstance(given, Tensor):
            raise UserError(
                f"{name} must be an int64 tensor ({logits.shape[0]},), got {type(given).__name__}"
            )
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
                f"{name} must be a number or ({logits.shape[0]},), one value per sample, got "
                f"{tuple(weight.shape)}"
            )
        return weight.to(logits.device, logits.dtype)
    if not isinstance(weight, int | float) and getattr(weight, "ndim", 1) != 0:
        raise UserError(
            f"{name} must be a number or a tensor ({logits.shape[0]},), got {type(weight).__name__}: "
            f"pass torch.as_tensor({name})"
        )
    check_share(name, weight)
    return logits.new_full((), weight)


def reduce(values: Tensor, reduction: Reduction) -> Tensor:
    """Mean or sum over the samples, or the values (N,) as they are."""
    check_options(reduction=reduction)
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()
