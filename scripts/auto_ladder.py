"""What ``ssl-mix auto`` chooses, against the linear probe, over several choices of the labels.

``python scripts/auto_ladder.py --root DIR --net WEIGHTS --labels 2 5 --splits 5 --cache DIR`` computes the
features of the images in ROOT/train and ROOT/test once and writes a JSON line for each number of labels, kind
of unlabeled images and split to ``scripts/results/auto.jsonl``. Kinds: "balanced" as they are; "tail",
unlabeled classes whose sizes fall 25 : 1 in a random order; "foreign", a third of the classes are nobody's:
not labeled, not tested, their images unlabeled. With ``--redraw`` each split draws the images to learn
from and those to test on anew from both, which tells more where these are few.
"""

import argparse
import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.feature_parts import of_classes, redrawn
from measuring import append_line, circumstances
from torch import Tensor

from ssl_mix.datasets import Split, choose_split
from ssl_mix.datasets.splits import ranked
from ssl_mix.recipes.auto import chosen_options, search
from ssl_mix.recipes.ladder import PROBE, RUNGS, folds, run_of
from ssl_mix.runs.features import Features
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import begin_head, cached_features
from ssl_mix.runs.prepared import read_data

KINDS = ("balanced", "tail", "foreign")
RATIO = 25.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write a line for each cell."""
    asked = read(arguments)
    options = chosen_options(
        {
            "train": str(asked.root / "train"),
            "test": str(asked.root / "test"),
            "net": asked.net,
            "image_size": asked.image_size,
            "crop": asked.crop,
            "threads": asked.threads,
        }
    )
    torch.set_num_threads(asked.threads)
    run = run_of(PROBE, options).settled()
    began = time.perf_counter()
    data = read_data(run, Given(), None)
    features = cached_features(run, data, asked.cache)
    seconds = time.perf_counter() - began
    for kind in asked.kinds:
        for count in asked.labels:
            for seed in range(asked.first_split, asked.first_split + asked.splits):
                cell = {"kind": kind, "labels_per_class": count, "split": seed, "features_seconds": seconds}
                drawn = redrawn(features, seed) if asked.redraw else features
                known = drawn if kind != "foreign" else with_foreign(drawn)
                result = cell | measured(known, options, kind, count, seed)
                append_line(asked.out, result | setting(asked))
                print(json.dumps(result), flush=True)


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--net", required=True)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--crop", default="resized")
    parser.add_argument("--labels", type=int, nargs="+", default=[2, 5])
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--first-split", type=int, default=0, help="the rule was chosen on others")
    parser.add_argument("--kinds", nargs="+", default=["balanced"], choices=KINDS)
    parser.add_argument("--redraw", action="store_true", help="other images to test on in each split")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps the features")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "auto.jsonl")
    return parser.parse_args(arguments)


def measured(features: Features, options: dict[str, Any], kind: str, count: int, seed: int) -> dict[str, Any]:
    """One cell: the ladder, what was chosen, and the accuracies of that and of the probe."""
    data, began = features.data, time.perf_counter()
    labels = data.train.labels
    split = choose_split(labels, len(data.classes), per_class=count, seed=seed, classes=data.classes)
    if kind == "tail":
        split = dataclasses.replace(split, unlabeled=tail(split, labels, len(data.classes)))
    found = search(options, features, folds(split, labels, seed), None)
    accuracies, probe = {}, 0.0
    for rung in RUNGS:
        trainer, first = begin_head(run_of(rung, options), features, split)
        *_, record = trainer.fit()
        assert first is not None
        accuracies[rung.name], probe = record["test_accuracy"], first.scores["probe_accuracy"]
    return {
        "chosen": found.rung.name,
        "accuracy": accuracies[found.rung.name],
        "probe_accuracy": probe,
        "tests": accuracies,
        "ladder": {
            climbed.rung.name: {
                "held_out": climbed.accuracy,
                "gain": climbed.gain,
                "error": climbed.error,
            }
            for climbed in found.ladder
        },
        "seconds": time.perf_counter() - began,
    }


def tail(split: Split, labels: Tensor, num_classes: int) -> tuple[int, ...]:
    """Unlabeled images of which class after class, in a random order, has fewer, down to a 25th."""
    order = ranked(range(num_classes), f"{split.seed}/tail")
    kept: list[int] = []
    for place, label in enumerate(order):
        members = [position for position in split.unlabeled if labels[position] == label]
        share = RATIO ** (-place / (num_classes - 1))
        kept += ranked(members, f"{split.seed}/kept")[: max(1, round(share * len(members)))]
    return tuple(sorted(kept))


def with_foreign(features: Features) -> Features:
    """The first two thirds of the classes, with the images of the others for unlabeled ones."""
    return of_classes(features, 0, round(len(features.data.classes) * 2 / 3))


def setting(asked: argparse.Namespace) -> dict[str, Any]:
    """How it was measured."""
    images = {"data": asked.root.name, "net": Path(asked.net).name, "image_size": asked.image_size}
    images |= {"redrawn": True} if asked.redraw else {}
    return circumstances(torch.device("cpu")) | images


if __name__ == "__main__":
    main()
