"""Speed of our FixMatch and FlexMatch iterations against those of the toolkit USB, for the same computation.

    python scripts/bench.py ssl_step [--json scripts/results/bench_ssl_step.jsonl]

USB is PyPI's ``semilearn`` 0.3.2, from its own code: data sets, RandAugment, DataLoaders, ``train_step`` and
hooks (update, EMA, thresholds), in the order of its ``AlgorithmBase.train``. Without it only ours is
measured. The sides take turns in one process; a turn is a few steps after untimed ones, and USB's workers
live only as long as its turn, so that they never work in ours.

Same on both sides: WRN-28-2 whose widening blocks read the raw input, float32, B labeled and 7 B unlabeled
images of 50,000, weak and strong views, one forward pass over all 15 B views, SGD with Nesterov momentum, EMA
0.999. USB's network has 208 parameters
more: a bias in the stem, and two batch norms whose output it computes and throws away. "ours bf16" computes
in bfloat16, and "apart" has ``weak_pass="apart"``: not the same computation, and shown beside it.

"data" is waiting for the batch and augmenting it, "step" all the rest. On a GPU the host waits for the device
between the two, which keeps ours from overlapping them; USB waits by itself. USB refuses CPUs, so there (and
only there) three things are replaced: ``Tensor.cuda`` returns the tensor, the model is not sent to a GPU, and
TimerHook, which measures with CUDA events, is left out.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from measuring import append_line, circumstances, now
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.noise import Noise, make_noise, noise_data
from benchmarks.usb import CLASSES, LABELS, RATIO, Spent, Usb, import_usb
from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import FixMatch, FlexMatch
from ssl_mix.cli.terminal import keep_freed_memory
from ssl_mix.datasets import choose_split
from ssl_mix.models import build_model
from ssl_mix.passes import WeakPass

ALGORITHMS: dict[str, Callable[..., Algorithm]] = {"fixmatch": FixMatch, "flexmatch": FlexMatch}
SIDES = ("usb", "ours", "ours bf16", "ours apart", "ours apart bf16")
WARM_STEPS = 2  # fill the queues of USB's workers, which then stay full


class Side(Protocol):
    """A toolkit that trains.

    Attributes:
        net: the network in training.
    """

    net: nn.Module

    def turn(self, steps: int) -> Iterator[Spent]:
        """Train for ``steps`` iterations."""


class Ours:
    """A trainer as ``ssl-mix train`` makes it, with USB's settings where they differ from the defaults."""

    def __init__(
        self, algorithm: str, noise: Noise, options: argparse.Namespace, amp: str, weak_pass: WeakPass
    ) -> None:
        data = noise_data(noise)
        split = choose_split(
            noise.labels, CLASSES, labels_total=LABELS, seed=0, include_labeled=True, classes=data.classes
        )
        config = TrainConfig(
            batch_size=options.batch_size,
            device=options.device,
            amp=amp,  # type: ignore[arg-type]
            threads=options.threads,
            ema_warmup=False,
            steps=2**20,
        )
        self.net = build_model("wrn-28-2", CLASSES, first_block="raw", bn_momentum=0.001)
        self.trainer = Trainer(ALGORITHMS[algorithm](weak_pass=weak_pass), self.net, data, split, config)
        self.net = self.trainer.student
        self.batches = self.trainer.feed.batches(0)
        self._augment, self._augmenting = self.trainer.feed.augment, 0.0
        self.trainer.feed.augment = self._timed_augment  # type: ignore[method-assign]

    def _timed_augment(self, raw: Any, step: int) -> Any:
        began = now(self.trainer.device)
        batch = self._augment(raw, step)
        self._augmenting = now(self.trainer.device) - began
        return batch

    def turn(self, steps: int) -> Iterator[Spent]:
        """See ``Side``."""
        for _ in range(steps):
            began = now(self.trainer.device)
            raw = next(self.batches)
            waited = now(self.trainer.device) - began
            self.trainer.train_step(raw)
            data = waited + self._augmenting
            yield Spent(data, now(self.trainer.device) - began - data)


def make_side(name: str, algorithm: str, noise: Noise, options: argparse.Namespace) -> Side:
    """One of ``SIDES``."""
    if name == "usb":
        return Usb(algorithm, noise, options)
    weak_pass: WeakPass = "apart" if "apart" in name else "together"
    return Ours(algorithm, noise, options, amp="bf16" if "bf16" in name else "off", weak_pass=weak_pass)


def take_turns(sides: dict[str, Side], rounds: int, steps: int) -> dict[str, list[Spent]]:
    """Every timed iteration of every side."""
    taken: dict[str, list[Spent]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            taken[name] += list(side.turn(WARM_STEPS + steps))[WARM_STEPS:]
    return taken


def summarize(taken: dict[str, list[Spent]]) -> dict[str, dict[str, float]]:
    """Medians in milliseconds by side; ``ratio`` is USB's total over the side's own, where USB took part."""
    table = {
        name: {
            "data_ms": 1000 * statistics.median(spent.data for spent in iterations),
            "step_ms": 1000 * statistics.median(spent.step for spent in iterations),
            "total_ms": 1000 * statistics.median(sum(spent) for spent in iterations),
            "fastest_ms": 1000 * min(sum(spent) for spent in iterations),
        }
        for name, iterations in taken.items()
    }
    if "usb" in table:
        for row in table.values():
            row["ratio"] = table["usb"]["total_ms"] / row["total_ms"]
    return table


def network_size(net: nn.Module) -> dict[str, int]:
    """Trainable parameters, and floating-point operations of convolutions and linear layers for one image."""
    picture = torch.zeros(1, 3, 32, 32, device=next(net.parameters()).device)
    net.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(picture)
    net.train()
    parameters = sum(parameter.numel() for parameter in net.parameters() if parameter.requires_grad)
    return {"parameters": parameters, "flops": counter.get_total_flops()}


def show(algorithm: str, table: dict[str, dict[str, float]]) -> None:
    """Print one algorithm's part of the table."""
    for name, row in table.items():
        ratio = f"{row['ratio']:9.2f}" if "ratio" in row else "        -"
        print(
            f"{algorithm:11}{name:11}{row['data_ms']:9.1f}{row['step_ms']:9.1f}{row['total_ms']:9.1f}{ratio}"
        )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        "bench.py ssl_step", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS), choices=ALGORITHMS)
    parser.add_argument("--sides", nargs="+", default=list(SIDES), choices=SIDES)
    parser.add_argument("--batch-size", type=int, help="labeled images; default 16 on a CPU, 64 on a GPU")
    parser.add_argument("--images", type=int, default=50_000, help="training images in all")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--threads", type=int, help="of PyTorch; default: its own choice")
    parser.add_argument(
        "--usb-workers", type=int, help="num_workers of USB; default its own: 1, and 2 unlabeled"
    )
    parser.add_argument(
        "--keep-freed-memory",
        action="store_true",
        help="glibc keeps freed blocks, as ssl-mix train lets it; for all sides of the process",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="timed steps in a turn")
    parser.add_argument("--json", type=Path, help="file to append one line per algorithm to")
    return parser


def compare(
    algorithm: str, sides: Sequence[str], noise: Noise, options: argparse.Namespace
) -> dict[str, Any]:
    """Measure one algorithm on the given sides."""
    made = {name: make_side(name, algorithm, noise, options) for name in sides}
    networks = {name: network_size(side.net) for name, side in made.items()}
    table = summarize(take_turns(made, options.rounds, options.steps))
    return {
        "benchmark": "ssl_step",
        "algorithm": algorithm,
        "batch_size": options.batch_size,
        "views": options.batch_size * (1 + 2 * RATIO),
        "images": options.images,
        "rounds": options.rounds,
        "steps": options.steps,
        "usb_workers": options.usb_workers,
        "keep_freed_memory": options.keep_freed_memory,
        "sides": {name: table[name] | networks[name] for name in made},
        **circumstances(torch.device(options.device)),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append lines of JSON if asked to."""
    options = parser().parse_args(arguments)
    options.batch_size = options.batch_size or (64 if options.device.startswith("cuda") else 16)
    if options.keep_freed_memory:
        options.keep_freed_memory = keep_freed_memory()
    if options.threads:
        torch.set_num_threads(options.threads)
    sides = options.sides
    if "usb" in sides and import_usb() is None:
        print("semilearn is not installed (pip install semilearn==0.3.2): USB is not measured")
        sides = [name for name in sides if name != "usb"]
    noise = make_noise(options.images)
    print(f"{'algorithm':11}{'side':11}{'data ms':>9}{'step ms':>9}{'total ms':>9}{'USB/side':>9}")
    for algorithm in options.algorithms:
        result = compare(algorithm, sides, noise, options)
        show(algorithm, result["sides"])
        if options.json:
            append_line(options.json, result)
    print(f"B = {options.batch_size}, {result['hardware']}, load {result['load']:.1f}")
