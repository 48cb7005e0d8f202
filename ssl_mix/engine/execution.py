"""Where and how the arithmetic is done: device, precision, compilation."""

import contextlib
import warnings
from contextlib import AbstractContextManager
from typing import cast

import torch
from torch import nn

from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError


def resolve_device(name: str) -> torch.device:
    """The device called ``name``; "auto" is a GPU where there is one.

    Raises:
        ValueError: no such device, or none on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device must be auto, cpu or cuda, got {name!r}") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"device must be auto, cpu or cuda, got {name!r}")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(
            f"device {name!r} is not there: PyTorch sees {torch.cuda.device_count()} GPUs; use --device cpu"
        )
    return device


def prepare(config: TrainConfig) -> torch.device:
    """Apply the process-wide settings of ``config`` and return its device."""
    device = resolve_device(config.device)
    if config.threads:
        torch.set_num_threads(config.threads)
    torch.backends.cudnn.deterministic = config.deterministic
    torch.backends.cudnn.benchmark = not config.deterministic
    return device


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[None]:
    """bfloat16 autocast as ``config.amp`` says, or nothing."""
    supported = device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    if config.amp == "bf16" and not supported:
        warnings.warn("this GPU cannot compute in bfloat16: training in float32", stacklevel=2)
    if supported and (config.amp == "bf16" or (config.amp == "auto" and device.type == "cuda")):
        return cast(AbstractContextManager[None], torch.autocast(device.type, torch.bfloat16))
    return contextlib.nullcontext()


def compiled(net: nn.Module, sample: torch.Tensor, precision: AbstractContextManager[None]) -> nn.Module:
    """``torch.compile(net)``, or ``net`` itself with a warning where compiling fails.

    Tried by a forward and a backward pass on a whole batch, in the precision of training. The trial leaves
    the network as it was, batch-norm statistics included.

    Args:
        net: in training mode.
        sample: images (N, C, H, W) as training will bring them.
        precision: the autocast of training.
    """
    before = [buffer.clone() for buffer in net.buffers()]
    try:
        candidate = torch.compile(net)
        with precision:
            logits = candidate(sample)
        logits.float().sum().backward()
    except Exception as error:  # the compiler may fail in many ways, none of which should stop a run
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(f"torch.compile does not work here ({reason}): training without it", stacklevel=2)
        return net
    finally:
        net.zero_grad(set_to_none=True)
        for buffer, value in zip(net.buffers(), before, strict=True):
            buffer.detach().copy_(value)
    return cast(nn.Module, candidate)
