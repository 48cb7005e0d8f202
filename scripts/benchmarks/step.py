"""Speed of one FixMatch training step against the bare forward and backward pass of the same network.

    python scripts/bench.py step [--json scripts/results/bench_step.jsonl]

The bound runs the network on ready tensors: no data, no augmentation, no optimizer, no teacher. Step, bound
and parts alternate in one process, and medians are compared. On a CPU: WRN-28-2, 32 x 32, 16 labeled and 112
unlabeled images (240 views); on a GPU 64 and 448 (960 views).
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from measuring import append_line, circumstances, measure

from benchmarks.noise import make_noise, noise_data
from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import FixMatch
from ssl_mix.datasets import choose_split
from ssl_mix.engine.execution import autocast
from ssl_mix.models import build_model
from ssl_mix.randomness import stream_generator
from ssl_mix.types import Step


def make_trainer(options: argparse.Namespace) -> Trainer:
    """A FixMatch trainer as ``ssl-mix train fixmatch`` makes it."""
    data = noise_data(make_noise(10_000))
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
    batches = trainer.feed.batches(0)
    raw = next(batches)
    batch = trainer.feed.augment(raw, trainer.step)
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
        output.loss.backward()  # type: ignore[no-untyped-call]

    return {
        "step": lambda: trainer.train_step(next(batches)),
        "bound": bound,
        "augmentation": lambda: trainer.feed.augment(next(batches), trainer.step),
        "forward_backward": forward_backward,
        "optimizer": trainer.optimizer.step,
        "teacher": lambda: trainer.teacher.update(0),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append a line of JSON if asked to."""
    parser = argparse.ArgumentParser(
        "bench.py step", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--net", default="wrn-28-2")
    parser.add_argument("--batch-size", type=int, help="labeled images; default 16 on a CPU, 64 on a GPU")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--amp", default="auto", choices=("auto", "bf16", "off"))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="file to append one line to")
    options = parser.parse_args(arguments)
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
        "views": trainer.feed.images_per_step,
        "amp": options.amp,
        "compile": options.compile,
        "rounds": options.rounds,
        "step_over_bound": medians["step"] / medians["bound"],
        "images_per_second": trainer.feed.images_per_step / medians["step"],
        "step_ms": 1000 * medians["step"],
        "bound_ms": 1000 * medians["bound"],
        "parts": parts,
        **circumstances(trainer.device),
    }
    for name, milliseconds in (("step", result["step_ms"]), ("bound", result["bound_ms"]), *parts.items()):
        print(f"{name:18}{milliseconds:10.2f} ms")
    print(f"step / bound      {result['step_over_bound']:10.3f}")
    print(f"images per second {result['images_per_second']:10.0f}   ({result['hardware']})")
    if options.json:
        append_line(options.json, result)
