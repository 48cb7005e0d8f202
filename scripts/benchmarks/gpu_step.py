"""The FixMatch step on a GPU, in several ways, against its network alone in a CUDA graph."""

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from measuring import now
from torch import Tensor, nn

from benchmarks.noise import make_noise, noise_data
from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithm import Algorithm
from ssl_mix.datasets import choose_split
from ssl_mix.engine.execution import autocast
from ssl_mix.engine.feed import RawBatch, RawSamples
from ssl_mix.models import build_model
from ssl_mix.types import Batch, Nets


class Way(NamedTuple):
    """How a step is carried out.

    Attributes:
        amp: "bf16" or "off".
        net: "eager"; "compile" and "reduce-overhead" are modes of torch.compile; "graphed" is
            ``torch.cuda.make_graphed_callables``.
        ahead: augment the next batch on a stream of its own meanwhile.
        deterministic: cuDNN's deterministic algorithms alone.
    """

    amp: str = "bf16"
    net: str = "eager"
    ahead: bool = False
    deterministic: bool = True


def make_trainer(
    algorithm: Algorithm, net: str, device: torch.device, way: Way, batch_size: int, **config: Any
) -> Trainer:
    """A trainer on noise, whose network runs as ``way`` says."""
    data = noise_data(make_noise(10_000))
    split = choose_split(data.train.labels, 10, labels_total=250, seed=0, classes=data.classes)
    settings = TrainConfig(
        batch_size=batch_size,
        device=str(device),
        amp=way.amp,  # type: ignore[arg-type]
        deterministic=way.deterministic,
        steps=10**6,
        **config,
    )
    torch.manual_seed(0)
    trainer = Trainer(algorithm, build_model(net, 10), data, split, settings)
    trainer.nets = Nets(runnable(trainer, way.net), trainer.teacher.net)
    return trainer


def runnable(trainer: Trainer, kind: str) -> nn.Module:
    """The student as ``Way.net`` says."""
    student = trainer.student
    if kind == "eager":
        return student
    if kind == "graphed":
        sample = views_of(trainer)
        with uncached_autocast(trainer):
            return cast(nn.Module, torch.cuda.make_graphed_callables(student, (sample,)))
    mode = None if kind == "compile" else kind
    return cast(nn.Module, torch.compile(student, mode=mode))


def views_of(trainer: Trainer) -> Tensor:
    """All views of one batch, as the network sees them in one pass."""
    batch = trainer.feed.augment(next(trainer.feed.batches(0)), 0)
    assert batch.unlabeled is not None
    return torch.cat((batch.labeled.views["weak"], *batch.unlabeled.views.values()))


def uncached_autocast(trainer: Trainer) -> contextlib.AbstractContextManager[None]:
    """The autocast of training, without its cache of weights, which a capture must not use."""
    stack = contextlib.ExitStack()
    stack.enter_context(autocast(trainer.config, trainer.device))
    torch.set_autocast_cache_enabled(False)
    stack.callback(torch.set_autocast_cache_enabled, True)
    return stack  # type: ignore[return-value]


def bare(trainer: Trainer) -> Callable[[], None]:
    """Forward and backward pass of the uncompiled student on ready tensors."""
    ready = views_of(trainer)
    labels = torch.zeros(len(ready), dtype=torch.int64, device=trainer.device)

    def run() -> None:
        trainer.student.zero_grad(set_to_none=True)
        with uncached_autocast(trainer):
            loss = F.cross_entropy(trainer.student(ready).float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]

    return run


def captured(run: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """``run`` as one CUDA graph; on a CPU ``run`` itself."""
    if device.type != "cuda":
        return run
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


def stepper(trainer: Trainer, ahead: bool) -> Callable[[], None]:
    """A function that takes one training step, with the next batch augmented meanwhile if ``ahead``."""
    batches = trainer.feed.batches(trainer.step)
    if not ahead:
        return lambda: trainer.train_step(next(batches))
    prepared = ahead_of(trainer, trainer.feed.augment, batches)
    trainer.feed.augment = lambda raw, step: next(prepared)  # type: ignore[method-assign]
    nothing = RawBatch(RawSamples(None, torch.empty(0), {}), None)
    return lambda: trainer.train_step(nothing)


def ahead_of(
    trainer: Trainer, augment: Callable[[RawBatch, int], Batch], batches: Iterator[RawBatch]
) -> Iterator[Batch]:
    """Augmented batches, each begun on a stream of its own while the one before is learned from.

    On a CPU streams do nothing, and the batches are the same.
    """
    streams = torch.get_device_module(trainer.device)
    side = streams.Stream()
    side.wait_stream(streams.current_stream())

    def begin(step: int) -> Batch:
        with streams.stream(side):
            return augment(next(batches), step)

    step = trainer.step
    coming = begin(step)
    while True:
        streams.current_stream().wait_stream(side)
        batch = coming
        for half in batch:
            for tensor in (*half.views.values(), half.indices, half.target) if half is not None else ():
                if tensor is not None and tensor.is_cuda:
                    tensor.record_stream(torch.cuda.current_stream())
        step += 1
        coming = begin(step)
        yield batch


def seconds_each(
    functions: dict[str, Callable[[], None]], device: torch.device, steps: int, rounds: int
) -> dict[str, float]:
    """Median seconds of one call when ``steps`` of them follow without a wait; the functions take turns."""
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            began = now(device)
            for _ in range(steps):
                function()
            taken[name].append((now(device) - began) / steps)
    return {name: statistics.median(values) for name, values in taken.items()}


def host_seconds(function: Callable[[], None], device: torch.device, steps: int) -> float:
    """Seconds in which the host issues one call's work, the device being free to lag behind."""
    now(device)
    began = time.perf_counter()
    for _ in range(steps):
        function()
    taken = (time.perf_counter() - began) / steps
    now(device)
    return taken


def kernels(function: Callable[[], None], device: torch.device, steps: int) -> dict[str, tuple[float, float]]:
    """Milliseconds on the device and launches per call, by kernel; on a CPU by operation."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        kinds = [torch.profiler.ProfilerActivity.CUDA]
    now(device)
    with torch.profiler.profile(activities=kinds) as profile:
        for _ in range(steps):
            function()
        now(device)
    field = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    found = {event.key: (getattr(event, field), event.count) for event in profile.key_averages()}
    return {name: (us / 1000 / steps, count / steps) for name, (us, count) in found.items() if us > 0}


def summary(step: dict[str, tuple[float, float]], net: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """What a step runs beside its network's two passes: totals, and the ten costliest kernels."""
    beside = {
        name: (ms - net.get(name, (0.0, 0.0))[0], count - net.get(name, (0.0, 0.0))[1])
        for name, (ms, count) in step.items()
    }
    costliest = sorted(beside.items(), key=lambda item: -item[1][0])[:10]
    return {
        "busy_ms": sum(ms for ms, _ in step.values()),
        "network_busy_ms": sum(ms for ms, _ in net.values()),
        "launches": sum(count for _, count in step.values()),
        "network_launches": sum(count for _, count in net.values()),
        "costliest_beside_network": [[name[:90], round(ms, 4), count] for name, (ms, count) in costliest],
    }


def measure_way(
    algorithm: Algorithm, net: str, device: torch.device, way: Way, batch_size: int, steps: int, rounds: int
) -> dict[str, Any]:
    """Everything about one way: times, their ratio to the captured passes, memory, kernels."""
    began = now(device)
    trainer = make_trainer(algorithm, net, device, way, batch_size)
    step = stepper(trainer, way.ahead)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(min(steps, 4)):
        step()
    first = now(device) - began
    peak = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else None
    run = bare(make_trainer(algorithm, net, device, way._replace(net="eager"), batch_size))
    run()
    bound = captured(run, device)
    found = seconds_each({"step": step, "bound": bound, "uncaptured_bound": run}, device, steps, rounds)
    return {
        **way._asdict(),
        "net_name": net,
        "batch_size": batch_size,
        "views": trainer.feed.images_per_step,
        **{f"{name}_ms": 1000 * value for name, value in found.items()},
        "step_over_bound": found["step"] / found["bound"],
        "host_ms": 1000 * host_seconds(step, device, min(steps, 10)),
        "images_per_second": trainer.feed.images_per_step / found["step"],
        "peak_mib": peak,
        "seconds_to_first_steps": first,
        **summary(kernels(step, device, min(steps, 5)), kernels(run, device, min(steps, 5))),
    }
