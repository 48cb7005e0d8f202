"""Speed and memory of our Self-Tuning step against the same step in its published form.

    python scripts/bench_self_tuning.py [--json scripts/results/bench_self_tuning.jsonl]

"looped" differs from ours where the published code does: for each image it puts the keys of all other classes
together and multiplies by them; keys enter the queue one at a time; pseudo-labels come from a forward pass of
their own. Everything else is the same code. The sides take turns. Peak memory, of a process that trains one
side alone: on a CPU, what the process holds more than before its first step; on a GPU, what PyTorch has
allocated there.
"""

import argparse
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from measuring import append_line, circumstances
from torch import Tensor

from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import SelfTuning
from ssl_mix.augment import Augmentation
from ssl_mix.banks import ClassQueue
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages, choose_split
from ssl_mix.models import build_model
from ssl_mix.types import Batch, Nets, Step, StepOutput

PER_CLASS, LABELED = 10, 3
WARM_STEPS = 2


class LoopedSelfTuning(SelfTuning):
    """Self-Tuning image by image, as published."""

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """A forward pass of the unlabeled images for the pseudo-labels, whose logits alone are detached, then
        the step."""
        assert batch.unlabeled is not None
        nets.student(batch.unlabeled.views[self.unlabeled_views[0]]).detach().argmax(dim=1)
        return super().forward(nets, batch, step)

    def _contrast(self, encoded: Any, queue: ClassQueue, labels: Tensor) -> Tensor:
        return looped_contrast(encoded.query, encoded.key, queue.keys, labels, self.temperature)

    def commit(self, carry: dict[str, Tensor]) -> None:
        """One key at a time."""
        for key, label in zip(carry["keys"], carry["labels"], strict=True):
            slot = int(self.queue.next_slot[label])
            self.queue.keys[label, slot] = key
            self.queue.next_slot[label] = (slot + 1) % self.depth


def looped_contrast(query: Tensor, key: Tensor, queue: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """PGC with the negatives of each image concatenated, as a divergence from the even target."""
    depth = queue.shape[1]
    rows = []
    for one, own, label in zip(query, key, labels, strict=True):
        others = torch.cat([keys for name, keys in enumerate(queue) if name != int(label)])
        rows.append(torch.cat(((one @ own)[None], queue[label] @ one, others @ one)) / temperature)
    log_shares = torch.stack(rows).log_softmax(dim=1)
    return -log_shares[:, : depth + 1].mean(dim=1).mean() - math.log(depth + 1)


SIDES: dict[str, type[SelfTuning]] = {"ours": SelfTuning, "looped": LoopedSelfTuning}


def make_trainer(side: str, options: argparse.Namespace) -> Trainer:
    """A trainer on noise of many classes."""
    size, count = options.image_size, PER_CLASS * options.classes
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)
    images = ImageSet(ResidentImages(pixels), torch.arange(count) % options.classes)
    augmentation = Augmentation(mean=(0.5,) * 3, std=(0.25,) * 3, crop="resized")
    data = DataSet("noise", tuple(map(str, range(options.classes))), images, None, augmentation)
    split = choose_split(images.labels, options.classes, per_class=LABELED, seed=0, classes=data.classes)
    config = TrainConfig(batch_size=options.batch_size, device=options.device, threads=options.threads)
    torch.manual_seed(0)
    net = build_model(options.net, options.classes, image_size=size)
    return Trainer(SIDES[side](), net, data, split, config)


def measure(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Median seconds of a step, images per second and peak memory in MiB of each side."""
    trainers = {side: make_trainer(side, options) for side in SIDES}
    batches = {side: trainer.feed.batches(0) for side, trainer in trainers.items()}
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for turn in range(options.steps + WARM_STEPS):
        for side, trainer in trainers.items():
            raw = next(batches[side])
            began = now(trainer.device)
            trainer.train_step(raw)
            if turn >= WARM_STEPS:
                seconds[side].append(now(trainer.device) - began)
    images = trainers["ours"].feed.images_per_step
    medians = {side: statistics.median(taken) for side, taken in seconds.items()}
    return {
        side: {
            "seconds": median,
            "images_per_second": images / median,
            "peak_mib": peak_of(side),
            "times_as_fast": medians["looped"] / median,
        }
        for side, median in medians.items()
    }


def now(device: torch.device) -> float:
    """Seconds on a clock, once the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_of(side: str) -> float:
    """Peak memory of one side in a process of its own, MiB."""
    command = [sys.executable, *sys.argv, "--peak-of", side]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def own_peak(side: str, options: argparse.Namespace) -> float:
    """Peak memory of two steps of this process, MiB."""
    trainer = make_trainer(side, options)
    before = resident_mib("VmRSS")
    batches = trainer.feed.batches(0)
    for _ in range(WARM_STEPS):
        trainer.train_step(next(batches))
    if trainer.device.type == "cuda":
        return torch.cuda.max_memory_allocated(trainer.device) / 2**20
    return resident_mib("VmHWM") - before


def resident_mib(field: str) -> float:
    """Memory that this process holds ("VmRSS") or has held at most ("VmHWM"), MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="torchvision:resnet18")
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--image-size", type=int, default=96)
    parser.add_argument("--batch-size", type=int, default=24)
    parser.add_argument("--steps", type=int, default=7, help="timed steps of each side")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, help="of PyTorch; default: its own choice")
    parser.add_argument("--json", type=Path, help="file to append a line to")
    parser.add_argument(
        "--peak-of", choices=SIDES, help="print the peak memory of one side, and nothing else"
    )
    return parser


def main() -> None:
    """Measure, print, and append a line of JSON if asked to."""
    options = arguments().parse_args()
    if options.peak_of:
        print(own_peak(options.peak_of, options))
        return
    sides = measure(options)
    print(f"{'side':8}{'ms / step':>11}{'images / s':>14}{'peak MiB':>10}{'looped / side':>15}")
    for side, row in sides.items():
        print(
            ""
            f"{side:8}{1000 * row['seconds']:11.1f}{row['images_per_second']:14.1f}{row['peak_mib']:10.0f}"
            f"{row['times_as_fast']:15.2f}"
        )
    if options.json:
        settings = {name: getattr(options, name) for name in ("net", "classes", "image_size", "batch_size")}
        around = circumstances(torch.device(options.device))
        append_line(options.json, {"benchmark": "self_tuning", **settings, "sides": sides, **around})


if __name__ == "__main__":
    main()
