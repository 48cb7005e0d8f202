"""Whether a CPU trains a network faster in bfloat16 than in float32, by measuring it once."""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.execution import kept_buffers, own_state
from ssl_mix.ranks import agreed

IMAGES = 16  # of a pass, at most
ROUNDS = 3
SHARE = 0.01  # of the images of a run that measuring may take
GAIN = 1.25  # times as fast as float32 is bfloat16 where it is taken
LEAST = 0.02  # second of a pass in float32: of less the clock says too little
CPU = torch.device("cpu")


class Measured(NamedTuple):
    """Seconds of the processor for a forward and a backward pass of the same images.

    Attributes:
        exact: in float32.
        halved: in bfloat16.
    """

    exact: float
    halved: float

    @property
    def gain(self) -> float:
        """How many times as fast bfloat16 is, as far as the clock can tell."""
        return self.exact / self.halved if self.exact >= LEAST else 1.0


_known: dict[object, Measured] = {}  # in this process, so that a network is always trained in one precision


def computes_in_bfloat16() -> bool:
    """Whether the processor multiplies numbers of bfloat16 by itself (AVX512-BF16 or AMX)."""
    able = torch.backends.cpu.get_cpu_capability().startswith(("AVX512", "AMX"))
    return able and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def settled(
    config: TrainConfig, net: nn.Module, shape: tuple[int, ...], device: torch.device, images: int
) -> TrainConfig:
    """The same configuration, with ``amp`` "bf16" where it says "auto" and a CPU is faster so.

    The processor must compute in bfloat16 by itself, forward and backward pass of the network take at most
    1 / 1.25 of their time in float32, and measuring that at most 1 % of the images of the run. Of several
    processes the first decides.

    Args:
        config: of a run that begins.
        net: that it trains; left as it was.
        shape: (C, H, W) of what it sees.
        device: where it trains.
        images: that a step passes through it.
    """
    size = min(IMAGES, config.batch_size // config.accumulate)
    pays = 2 * (1 + ROUNDS) * size <= SHARE * config.steps * images
    if config.amp != "auto" or device.type != "cpu" or len(shape) != 3 or not pays:
        return config
    gain = 0.0
    if computes_in_bfloat16():
        with contextlib.suppress(Exception):  # a network that refuses its images is told so by the trainer
            gain = measured(config, net, (size, *shape)).gain
    faster = agreed(torch.tensor([gain >= GAIN])).item()
    return replace(config, amp="bf16") if faster else config


def precision_note(before: TrainConfig, after: TrainConfig) -> tuple[str, ...]:
    """What to tell of a choice that :func:`settled` made."""
    if before.amp == after.amp:
        return ()
    return (
        f"training in bfloat16 (`amp={after.amp}`), which this processor is at least {GAIN:g} times as fast "
        "in: it was measured; `amp=off` trains in float32",
    )


def measured(config: TrainConfig, net: nn.Module, shape: tuple[int, ...]) -> Measured:
    """Both precisions in turns, the least of three times each; a network of the same layers is measured once
    in a process.

    Args:
        config: threads and memory layout.
        net: on the CPU; left as it was.
        shape: (N, C, H, W) of the images.
    """
    layers = tuple((name, weight.shape) for name, weight in net.named_parameters())
    key = type(net), layers, shape, config.threads, config.channels_last
    if key not in _known:
        layout = torch.channels_last if config.channels_last else torch.contiguous_format
        training = [(module, module.training) for module in net.modules()]
        try:
            with own_state(config, CPU, "trial"), kept_buffers(net):
                net.train()
                _known[key] = _in_turns(_training(net, _noise(shape).to(memory_format=layout)))
        finally:
            net.zero_grad(set_to_none=True)
            for module, mode in training:
                module.training = mode
    return _known[key]


def answers_faster(net: nn.Module, shape: tuple[int, int, int]) -> bool:
    """Whether this processor, with the threads that PyTorch has, makes a forward pass at most 1 / 1.25 of the
    time in bfloat16.

    Args:
        net: on the CPU, in evaluation mode.
        shape: (C, H, W) of the images.
    """
    if not computes_in_bfloat16():
        return False
    images = _noise((IMAGES, *shape))

    @torch.inference_mode()
    def answer() -> None:
        net(images)

    return _in_turns(answer).gain >= GAIN


def _noise(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _training(net: nn.Module, images: Tensor) -> Callable[[], None]:
    def passes() -> None:
        logits: Tensor = net(images)
        logits.float().sum().backward()  # type: ignore[no-untyped-call]

    return passes


def _in_turns(work: Callable[[], None]) -> Measured:
    """The least seconds of some work in float32 and in bfloat16, which take turns; the first turn warms
    up."""
    taken: list[list[float]] = []
    for _ in range(1 + ROUNDS):
        taken.append([])
        for halved in (False, True):
            with torch.autocast("cpu", torch.bfloat16, enabled=halved):
                taken[-1].append(_seconds(work))
    return Measured(*(min(times) for times in zip(*taken[1:], strict=True)))


def _seconds(work: Callable[[], None]) -> float:
    """Those of the processor: other programs do not count."""
    began = time.process_time()
    work()
    return time.process_time() - began
