"""What a step of each semi-supervised algorithm costs beside one of FixMatch.

    python scripts/bench.py algorithms [--json scripts/results/bench_algorithms.jsonl]

Whole steps (augmentation, passes, losses, update, teacher) on noise of 32 x 32 pixels with ``small-cnn``, as
many unlabeled images for a labeled one in all of them, take turns, and medians are compared. What learns from
other runs is given votes and a classifier at random.
"""

import argparse
import inspect
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from measuring import append_line, circumstances, measure

from benchmarks.noise import make_noise, noise_data
from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import ALGORITHMS, TRANSFER, VPet
from ssl_mix.cli.terminal import keep_freed_memory
from ssl_mix.datasets import DataSet, choose_split
from ssl_mix.models import build_model
from ssl_mix.models.pretrained import keep_source_head
from ssl_mix.passes import backbone
from ssl_mix.rebalance import ADDONS
from ssl_mix.targets import Targets

CLASSES, LABELS, IMAGES = 10, 250, 2000


def made(name: str, ratio: int, **options: Any) -> Algorithm:
    """An algorithm with its settings but for the number of unlabeled images."""
    known = inspect.signature(ALGORITHMS[name]).parameters
    if "unlabeled_ratio" in known:
        options["unlabeled_ratio"] = ratio
    if "teachers" in known:
        options["teachers"] = ("first", "second", "third")
    return ALGORITHMS[name](**options)


def stepping(algorithm: Algorithm, data: DataSet, batch_size: int) -> Iterator[None]:
    """A training step each time."""
    split = choose_split(data.train.labels, CLASSES, labels_total=LABELS, seed=0, classes=data.classes)
    torch.manual_seed(0)
    net = build_model("small-cnn", CLASSES, channels=3)
    config = TrainConfig(batch_size=batch_size, steps=10**6, device="cpu", amp="off")
    trainer = Trainer(algorithm, net, data, split, config)
    keep_source_head(trainer.student, backbone(trainer.student).head)
    if isinstance(algorithm, VPet):
        algorithm.cast(torch.randint(CLASSES, algorithm.votes.shape))
    for batch in trainer.feed.batches(0):
        trainer.train_step(batch)
        yield


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and append a line of JSON if asked to."""
    parser = argparse.ArgumentParser(
        "bench.py algorithms", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch-size", type=int, default=8, help="labeled images of a step")
    parser.add_argument("--unlabeled-ratio", type=int, default=7)
    parser.add_argument("--rounds", type=int, default=7, help="timed steps")
    parser.add_argument("--json", type=Path, help="file to append one line to")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    keep_freed_memory()
    ratio, data = options.unlabeled_ratio, noise_data(make_noise(IMAGES))
    every = {name: made(name, ratio) for name in ALGORITHMS if name not in TRANSFER}
    for addon in ADDONS:
        targets = Targets(rebalance=addon)  # type: ignore[arg-type]
        every[f"fixmatch --rebalance {addon}"] = made("fixmatch", ratio, targets=targets)
    steps = {
        name: partial(next, stepping(algorithm, data, options.batch_size))
        for name, algorithm in every.items()
    }
    seconds = measure(steps, options.rounds, torch.device("cpu"))
    for name, value in seconds.items():
        print(f"{name:30}{1 / value:8.2f} steps a second, {seconds['fixmatch'] / value:5.2f} beside FixMatch")
    if options.json:
        asked = {key: getattr(options, key) for key in ("batch_size", "unlabeled_ratio", "rounds")}
        line = {"benchmark": "algorithms", "net": "small-cnn", **asked, "seconds": seconds}
        append_line(options.json, {**line, **circumstances(torch.device("cpu"))})


if __name__ == "__main__":
    main()
