"""What it costs and what it brings to let the views go apart, the weak ones without gradient.

    python scripts/bench.py weak_pass [--json scripts/results/bench_weak_pass.jsonl]

Accuracy: FixMatch on digits with few labels, ``small-cnn``, both ways with the same labels, initial weights
and draws for each seed; the difference is taken seed by seed, with its 95 % interval by Student's t. Speed:
whole steps of both ways take turns on noise of 32 x 32 pixels, and medians are compared.
"""

import argparse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from measuring import append_line, circumstances, measure

from benchmarks.noise import make_noise, noise_data
from benchmarks.paired import paired
from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import FixMatch
from ssl_mix.cli.terminal import keep_freed_memory
from ssl_mix.datasets import DataSet, choose_split
from ssl_mix.datasets.digits import load_digits_data
from ssl_mix.models import build_model
from ssl_mix.passes import WeakPass

WAYS: tuple[WeakPass, ...] = get_args(WeakPass)


def make_trainer(
    way: WeakPass, data: DataSet, net: str, labels: int, config: dict[str, Any], seed: int = 0
) -> Trainer:
    """FixMatch, whose weak views go the given way."""
    split = choose_split(
        data.train.labels, len(data.classes), labels_total=labels, seed=seed, classes=data.classes
    )
    torch.manual_seed(seed)
    student = build_model(net, len(data.classes), channels=data.train.images.shape[0])
    settings = TrainConfig(seed=seed, **config)
    return Trainer(FixMatch(weak_pass=way), student, data, split, settings)


def accuracies(options: argparse.Namespace) -> dict[str, Any]:
    """Of the teacher on the test digits after the last step, in per cent, both ways for every seed."""
    config = {"steps": options.steps, "batch_size": 32, "lr": 0.1, "eval_every": options.steps}

    def measure_one(way: Any, seed: int) -> float:
        trainer = make_trainer(way, load_digits_data(), "small-cnn", options.labels, config, seed)
        return 100 * list(trainer.fit())[-1]["test_accuracy"]

    told = {"labels": options.labels, "steps": options.steps}
    return {**told, **paired(WAYS, options.seeds, measure_one)}


def stepping(trainer: Trainer) -> Iterator[None]:
    """A training step each time."""
    for batch in trainer.feed.batches(0):
        trainer.train_step(batch)
        yield


def speeds(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a step both ways, in float32 and bfloat16."""
    device = torch.device("cpu")
    steps: dict[str, partial[None]] = {}
    data = noise_data(make_noise(2000))
    for amp in ("off", "bf16"):
        config = {"batch_size": options.batch_size, "steps": 10**6, "device": "cpu", "amp": amp}
        for way in WAYS:
            trainer = make_trainer(way, data, options.net, 250, config)
            steps[f"{way} {amp}"] = partial(next, stepping(trainer))
    milliseconds = {name: 1000 * seconds for name, seconds in measure(steps, options.rounds, device).items()}
    for name, value in milliseconds.items():
        print(f"{name:15}{value:9.1f} ms a step")
    return {"net": options.net, "batch_size": options.batch_size, "step_ms": milliseconds}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append a line of JSON if asked to."""
    parser = argparse.ArgumentParser(
        "bench.py weak_pass", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="0 leaves the accuracy out")
    parser.add_argument("--labels", type=int, default=40)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--net", default="wrn-28-2")
    parser.add_argument("--batch-size", type=int, default=16, help="labeled images of a timed step")
    parser.add_argument("--rounds", type=int, default=5, help="timed steps; 0 leaves the speed out")
    parser.add_argument("--json", type=Path, help="file to append one line to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    line = {"benchmark": "weak_pass", **(accuracies(options) if options.seeds else {})}
    if options.rounds:
        line |= speeds(options)
    if options.json:
        append_line(options.json, {**line, "rounds": options.rounds, **circumstances(torch.device("cpu"))})


if __name__ == "__main__":
    main()
