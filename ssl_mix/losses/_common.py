"""What every loss does first and last: check its arguments, reduce."""

from typing import Literal

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_not_negative, check_share

Reduction = Literal["mean", "none", "sum"]
Sides = Literal["both", "minor", "major"]

ROUNDING = 1e-6  # how far from [0, 1] float32 may take a share


def check_options(
    *, reduction: str = "mean", sides: str = "both", eta: float = 0.0, eta_power: float = 0.0
) -> None:
    """Raise unless the options that the losses share are what they may be."""
    check_choice("reduction", reduction, ("mean", "none", "sum"))
    check_choice("sides", sides, ("both", "minor", "major"))
    check_not_negative("eta", eta)
    check_not_negative("eta_power", eta_power)


def check_labels(logits: Tensor, **labels: Tensor) -> None:
    """Raise unless all named ``labels`` are int64 (N,) for logits (N, C), or (N, d1, ...) for (N, C, d1,
    ...)."""
    expected = (len(logits), *logits.shape[2:])
    for name, given in labels.items():
        if not isinstance(given, Tensor):
            raise UserError(f"{name} must be an int64 tensor {expected}, got {type(given).__name__}")
        if given.device != logits.device:
            raise UserError(f"{name} must be on {logits.device} like the logits, got {given.device}: move it")
        if given.dtype != torch.int64 or given.shape != expected:
            if given.is_floating_point() and given.shape == logits.shape:
                raise UserError(
                    f"{name} must be int64 {expected}, got one number per class: labels that do not exclude "
                    "each other belong to DecoupledMixupBCELoss, class distributions are passed as "
                    "target.dense(num_classes)"
                )
            raise UserError(
                f"{name} must be int64 {expected} like the logits without their classes, "
                f"got {given.dtype} {tuple(given.shape)}"
            )


def check_floats(**tensors: Tensor) -> None:
    """Raise unless all are float tensors on one device."""
    devices = set()
    for name, given in tensors.items():
        if not isinstance(given, Tensor) or not given.is_floating_point():
            raise UserError(
                f"{name} must be a float tensor, got {getattr(given, 'dtype', type(given).__name__)}"
            )
        devices.add(given.device)
    if len(devices) > 1:
        raise UserError(
            f"{', '.join(tensors)} must be on one device, got {sorted(map(str, devices))}: move them"
        )


def check_meta(name: str, given: Tensor, like: Tensor) -> None:
    """Raise where one of both is on the meta device and so has no values."""
    if given.is_meta != like.is_meta:
        raise UserError(f"{name} must have a device like {like.device}, got {given.device}")


def readable(values: Tensor) -> bool:
    """Whether values may be looked at: on the CPU, outside of compiled and of transformed functions."""
    return not (
        torch.compiler.is_compiling()
        or not values.is_cpu
        or type(values) not in (Tensor, torch.nn.Parameter)
        or torch._C._are_functorch_transforms_active()
    )


def weight_like(name: str, weight: Tensor | float, logits: Tensor) -> Tensor:
    """A weight per sample (N,), or one for all, as a tensor in the dtype and on the device of ``logits``.

    A number outside [0, 1] is refused; values of a tensor are for :func:`check_shares`.
    """
    if isinstance(weight, Tensor):
        if weight.shape not in ((), logits.shape[:1]):
            raise UserError(
                f"{name} must be a number or ({logits.shape[0]},), one value per sample, got "
                f"{tuple(weight.shape)}"
            )
        check_meta(name, weight, logits)
        return weight.to(logits.device, logits.dtype)
    if not isinstance(weight, int | float) and getattr(weight, "ndim", 1) != 0:
        raise UserError(
            f"{name} must be a number or a tensor ({logits.shape[0]},), got {type(weight).__name__}: "
            f"pass torch.as_tensor({name})"
        )
    check_share(name, weight)
    return logits.new_full((), weight)


def check_shares(name: str, values: Tensor) -> None:
    """Raise where values that can be looked at lie outside [0, 1] by more than rounding, or are NaN."""
    if not readable(values) or values.numel() == 0:
        return
    low, high = (end.item() for end in values.detach().aminmax())
    if not (low >= -ROUNDING and high <= 1 + ROUNDING):
        raise UserError(f"{name} must lie in [0, 1], got values from {low:.4g} to {high:.4g}")


def check_least(name: str, least: Tensor) -> None:
    """The same for ``min(value, 1 - value)``."""
    if readable(least) and least.numel() and not least.min().item() >= -ROUNDING:
        raise UserError(f"{name} must lie in [0, 1], got a value outside of it or NaN")


def reduce(values: Tensor, reduction: Reduction, total: Tensor | float | None = None) -> Tensor:
    """Sum of the values, divided by ``total`` or their number for "mean"; or the values as they are.

    Raises:
        ValueError: the reduction is unknown, or there is nothing to take the mean of.
    """
    check_options(reduction=reduction)
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    check_some(values)
    return values.mean() if total is None else values.sum() / total


def check_some(values: Tensor) -> None:
    """Raise where there is nothing to take the mean of."""
    if values.numel() == 0:
        raise UserError("reduction 'mean' needs at least one sample, got an empty batch: leave it out")
