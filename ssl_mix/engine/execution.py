"""Where and how the arithmetic is done: device, precision, compilation."""

import contextlib
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import cast

import torch
from torch import nn

from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError, counts_of
from ssl_mix.randomness import stream_seed


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
            f"device {name!r} is not there: PyTorch sees {counts_of(torch.cuda.device_count(), 'GPU')}; use "
            "`device=cpu`"
        )
    return device


@contextlib.contextmanager
def own_state(config: TrainConfig, device: torch.device, stream: str, step: int = 0) -> Iterator[None]:
    """Within the block, what is common to the whole process is as a run wants it; afterwards as it was.

    These are the threads of PyTorch, cuDNN's choice of algorithms, and the default generators of the CPU and
    of ``device``, which begin at the seed of the stream and step, for dropout and its like. Nothing waits for
    the device.
    """
    cudnn, threads = torch.backends.cudnn, torch.get_num_threads()
    before = cudnn.deterministic, cudnn.benchmark
    seed = stream_seed(config.seed, stream, step)
    gpus = (
        []
        if device.type == "cpu"
        else [torch.cuda.current_device() if device.index is None else device.index]
    )
    try:
        with torch.random.fork_rng(devices=gpus):
            torch.default_generator.manual_seed(seed)
            for gpu in gpus:
                torch.cuda.default_generators[gpu].manual_seed(seed)
            cudnn.deterministic, cudnn.benchmark = config.deterministic, not config.deterministic
            if config.threads not in (None, threads):
                torch.set_num_threads(config.threads or threads)
            yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


@contextlib.contextmanager
def kept_buffers(net: nn.Module) -> Iterator[None]:
    """Put the buffers of a network, its batch-norm statistics for instance, back to what they were before the
    block."""
    before = [(buffer, buffer.clone()) for buffer in net.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.detach().copy_(value)


def half_precision(config: TrainConfig, device: torch.device) -> torch.dtype | None:
    """bfloat16 or float16, as ``config.amp`` says and the device can; None for float32."""
    if config.amp == "fp16":
        return torch.float16
    if config.amp == "off" or (config.amp == "auto" and device.type == "cpu"):
        return None
    if device.type == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16 if config.amp == "auto" else None


def autocast(config: TrainConfig, device: torch.device) -> AbstractContextManager[None]:
    """The autocast that ``config.amp`` says, or nothing."""
    precision = half_precision(config, device)
    if precision is not None:
        return cast(AbstractContextManager[None], torch.autocast(device.type, precision))
    if config.amp == "bf16":
        warnings.warn(
            "this GPU cannot compute in bfloat16: training in float32; `amp=fp16` computes in float16",
            stacklevel=2,
        )
    return contextlib.nullcontext()


def runnable(
    student: nn.Module,
    config: TrainConfig,
    shape: tuple[int, ...],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """The student, compiled where the run asks for that, for inputs of ``shape``, (C, H, W) of images."""
    if not config.compile:
        return student
    images = len(shape) == 3
    layout = torch.channels_last if config.channels_last and images else torch.contiguous_format
    sample = torch.zeros((config.batch_size // config.accumulate, *shape), device=device, dtype=dtype)
    with own_state(config, device, "trial"):
        return compiled(student.train(), sample.to(memory_format=layout), autocast(config, device))


def compiled(net: nn.Module, sample: torch.Tensor, precision: AbstractContextManager[None]) -> nn.Module:
    """``torch.compile(net)``, or ``net`` itself with a warning where compiling fails.

    Tried by a forward and a backward pass on a whole batch, in the precision of training. The trial leaves
    the network as it was, batch-norm statistics included.

    Args:
        net: in training mode.
        sample: images (N, C, H, W) as training will bring them.
        precision: the autocast of training.
    """
    try:
        candidate = torch.compile(net)
        with kept_buffers(net):
            with precision:
                logits = candidate(sample)
            logits.float().sum().backward()
    except Exception as error:  # the compiler may fail in many ways, none of which should stop a run
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        warnings.warn(f"torch.compile does not work here ({reason}): training without it", stacklevel=2)
        return net
    finally:
        net.zero_grad(set_to_none=True)
    return cast(nn.Module, candidate)
