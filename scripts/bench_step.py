"""Speed of one FixMatch training step against the bare forward and backward pass of the same network.

    python scripts/bench_step.py [--json scripts/results/bench_step.jsonl]

The bound runs the network on ready tensors: no data, no augmentation, no optimiser, no teacher. Step, bound and parts alternate
in one process, and medians are compared. On a CPU: WRN-28-2, 32 x 32, 16 labelled and 112 unlabelled pictures (240 views); on a
GPU 64 and 448 (960 views).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import FixMatch
from ssl_mix.augment import Augmentation
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages, choose_split
from ssl_mix.engine.execution import autocast
from ssl_mix.models import build_model
from ssl_mix.randomness import stream_generator
from ssl_mix.types import Step

ALLOCATOR = (
    "MALLOC_",
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF",
    "THP_MEM",
)


def noise_data(pictures: int, classes: int) -> DataSet:
    """Random 32 x 32 pictures: timing does not depend on what they show."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (pictures, 3, 32, 32), dtype=torch.uint8, generator=generator)
    part = ImageSet(ResidentImages(images), torch.arange(pictures) % classes, None)
    augmentation = Augmentation(mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26))
    return DataSet("noise", tuple(map(str, range(classes))), part, None, augmentation, ())


def make_trainer(options: argparse.Namespace) -> Trainer:
    """A FixMatch trainer as ``ssl-mix train fixmatch`` makes it."""
    data = noise_data(10_000, 10)
    split = choose_split(
        data.train.labels, 10, labels_total=250, per_class=None, seed=0, classes=data.classes
    )
    config = TrainConfig(
        batch_size=options.batch_size,
        device=options.device,
        amp=options.amp,
        compile=options.compile,
        steps=10**6,
    )
    return Trainer(FixMatch(), build_model(options.net, 10), data, split, config)


def work(trainer: Trainer) -> dict[str, Callable[[], object]]:
    """The whole step, the bound, and the parts of the step, as functions to be timed."""
    batches = trainer.batches(0)
    raw = next(batches)
    batch = trainer.augment(raw)
    assert batch.unlabeled is not None
    ready = torch.cat((batch.labeled.views["weak"], *batch.unlabeled.views.values()))
    labels = torch.zeros(len(ready), dtype=torch.int64, device=trainer.device)
    net, algorithm, config = trainer.nets.student, trainer.algorithm, trainer.config

    def bound() -> None:
        trainer.optimizer.zero_grad(set_to_none=True)
        with autocast(config, trainer.device):
            loss = F.cross_entropy(net(ready).float(), labels)
        loss.backward()  # type: ignore[no-untyped-call]

    def forward_backward() -> None:
        trainer.optimizer.zero_grad(set_to_none=True)
        with autocast(config, trainer.device):
            output = algorithm(trainer.nets, batch, Step(0, 10, stream_generator(0, "mixing")))
        output.loss.backward()

    return {
        "step": lambda: trainer.train_step(next(batches)),
        "bound": bound,
        "augmentation": lambda: trainer.augment(next(batches)),
        "forward_backward": forward_backward,
        "optimizer": trainer.optimizer.step,
        "teacher": lambda: trainer.teacher.update(0),
    }


def measure(
    functions: dict[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, float]:
    """Median seconds of each function; they take turns, so that a slow moment of the machine hits all."""

    def seconds(function: Callable[[], object]) -> float:
        began = time.perf_counter()
        function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    for function in functions.values():
        seconds(function), seconds(function)
    taken: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            taken[name].append(seconds(function))
    return {name: statistics.median(values) for name, values in taken.items()}


def hardware(device: torch.device) -> str:
    """The processor or GPU, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.processor(),
    )
    return f"{model}, {torch.get_num_threads()} threads"


def commit() -> str:
    """The commit of the source tree, with a mark if files differ from it."""
    root = Path(__file__).parent
    found = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=root, capture_output=True, text=True
    )
    return found.stdout.strip() or "unknown"


def main() -> None:
    """Measure, print, and append a line of JSON if asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="wrn-28-2")
    parser.add_argument("--batch-size", type=int, help="labelled pictures; default 16 on a CPU, 64 on a GPU")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--amp", default="auto", choices=("auto", "bf16", "off"))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="file to append one line to")
    options = parser.parse_args()
    on_gpu = options.device.startswith("cuda") or (options.device == "auto" and torch.cuda.is_available())
    options.batch_size = options.batch_size or (64 if on_gpu else 16)

    trainer = make_trainer(options)
    medians = measure(work(trainer), options.rounds, trainer.device)
    parts = {
        name: 1000 * medians[name] for name in ("augmentation", "forward_backward", "optimizer", "teacher")
    }
    result = {
        "benchmark": "fixmatch_step",
        "net": options.net,
        "batch_size": options.batch_size,
        "views": trainer.images_per_step,
        "amp": options.amp,
        "compile": options.compile,
        "rounds": options.rounds,
        "step_over_bound": medians["step"] / medians["bound"],
        "images_per_second": trainer.images_per_step / medians["step"],
        "step_ms": 1000 * medians["step"],
        "bound_ms": 1000 * medians["bound"],
        "parts": parts,
        "hardware": hardware(trainer.device),
        "torch": torch.__version__,
        "commit": commit(),
        "allocator": {k: v for k, v in os.environ.items() if k.startswith(ALLOCATOR)} or "default",
    }
    for name, milliseconds in (("step", result["step_ms"]), ("bound", result["bound_ms"]), *parts.items()):
        print(f"{name:18}{milliseconds:10.2f} ms")
    print(f"step / bound      {result['step_over_bound']:10.3f}")
    print(f"images per second {result['images_per_second']:10.0f}   ({result['hardware']})")
    if options.json:
        with open(options.json, "a") as file:
            file.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
