"""Long tails and images of no class: what each way to deal with them is worth.

``python scripts/tail_study.py`` trains every method on the embedded digits, with the same steps and batches,
on three choices of labels, and writes a JSON line for each run to ``scripts/results/tail_study.jsonl``. Lines
that are there are left out. With ``--net WEIGHTS --root DIR --cache DIR`` heads are trained in place of
networks, on features of the images in ROOT/train and ROOT/test, ten classes, which are computed once.

- "tail": 50 labels of the commonest class, 1 of the rarest, and unlabeled images with the same ratio of 50.
- "open": 4 labels of each of six classes, and all other images unlabeled, those of the other four classes
  too.
"""

import argparse
import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from benchmarks.feature_parts import of_classes
from benchmarks.head_grid import TRAINED
from measuring import append_line, commit, lines_of

from ssl_mix.engine.trainer import Trainer
from ssl_mix.evaluation import accuracy, geometric_mean_recall, predict_probabilities, shot_accuracies
from ssl_mix.rebalance import ADDONS
from ssl_mix.recipes.build import build_run
from ssl_mix.recipes.ladder import PROBE, run_of
from ssl_mix.runs.features import Features
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import begin_head, cached_features
from ssl_mix.runs.prepared import prepare, read_data
from ssl_mix.runs.run import Run

KEYS = ("images", "part", "method", "seed")
OUT = Path(__file__).parent / "results" / "tail_study.jsonl"
PARTS: dict[str, dict[str, Any]] = {
    "tail": {"labels_per_class": 50, "imbalance": 50.0, "imbalance_unlabeled": 50.0},
    "open": {"labels_per_class": 4, "unknown_classes": 4},
}
SSL = {"unlabeled_ratio": 4}
METHODS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "tail": [
        ("supervised", {}),
        ("supervised", {"logit_adjustment": 1.0}),
        ("supervised", {"balanced": True}),
        ("supervised", {"mix": "dm"}),
        ("supervised", {"mix": "dm", "logit_adjustment": 1.0}),
        ("fixmatch", SSL),
        ("fixmatch", SSL | {"balanced": True}),
        ("fixmatch", SSL | {"align": "uniform"}),
        ("fixmatch", SSL | {"balance_classes": True}),
        ("fixmatch", SSL | {"adaptive_thresholds": True}),
        *(("fixmatch", SSL | {"rebalance": name}) for name in ADDONS),
    ],
    "open": [
        ("supervised", {}),
        ("fixmatch", SSL),
        ("fixmatch", SSL | {"threshold": 0.0}),
        ("fixmatch", SSL | {"reject": 0.4}),
        ("openmatch", SSL),
        ("iomatch", SSL),
    ],
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, and write a line for each run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--parts", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--net", help="file of weights; its features are learned from")
    parser.add_argument("--root", type=Path, help="folder with train and test")
    parser.add_argument("--cache", type=Path, help="folder that keeps the features")
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args(arguments)
    torch.set_num_threads(1)
    images = Digits() if asked.net is None else Heads(asked.net, asked.root, asked.cache)
    known = [{key: line[key] for key in KEYS} for line in lines_of(asked.out)]
    for seed in range(asked.seeds):
        for part in asked.parts:
            for algorithm, options in METHODS[part]:
                method = name_of(algorithm, options)
                cell = {"images": images.name, "part": part, "method": method, "seed": seed}
                if cell not in known:
                    began = time.perf_counter()
                    found = measured(images.trainer(algorithm, options, part, seed), part)
                    seconds = round(time.perf_counter() - began, 1)
                    append_line(asked.out, cell | found | {"seconds": seconds, "commit": commit()})


class Digits:
    """The embedded digits: networks are trained."""

    name = "digits"
    common: ClassVar[dict[str, Any]] = {"data": "digits", "net": "small-cnn", "steps": 300, "batch_size": 16}

    def trainer(self, algorithm: str, options: dict[str, Any], part: str, seed: int) -> Trainer:
        """Of a method, where it starts."""
        return prepare(run_with(algorithm, self.common | PARTS[part] | options, seed)).trainer


class Heads:
    """The features of a pre-trained network: heads are trained, from a linear probe.

    Args:
        net: file of its weights.
        root: folder with train and test.
        cache: folder that keeps the features.
    """

    def __init__(self, net: str, root: Path, cache: Path) -> None:
        self.name = root.name
        given = {"train": str(root / "train"), "test": str(root / "test"), "net": net, "image_size": 128}
        self.common = TRAINED | given | {"crop": "pad", "feature_views": 6, "steps": 150, "lr": 0.02}
        run = run_of(PROBE, self.common).settled()
        self.features = cached_features(run, read_data(run, Given(), None), cache)

    def trainer(self, algorithm: str, options: dict[str, Any], part: str, seed: int) -> Trainer:
        """Of a method, where it starts."""
        given = self.common | PARTS[part] | options | {"tune": "head", "head_start": "probe"}
        unknown = given.pop("unknown_classes", 0)
        run = run_with(algorithm, given, seed)
        features = of_known(self.features, unknown)
        return begin_head(run, features, run.data.choose_split(features.data, seed))[0]


def run_with(algorithm: str, options: dict[str, Any], seed: int) -> Run:
    """A run that is scored once, in the end."""
    ends = {"seed": seed, "threads": 1, "eval_every": options["steps"]}
    return build_run(algorithm, options | ends).run


def of_known(features: Features, unknown: int) -> Features:
    """All but the last ``unknown`` classes, whose images are unlabeled ones of no class."""
    part = of_classes(features, 0, len(features.data.classes) - unknown)
    train = part.data.train
    marked = dataclasses.replace(train, foreign=train.labels < 0) if unknown else train
    return dataclasses.replace(part, data=dataclasses.replace(part.data, train=marked))


def name_of(algorithm: str, options: dict[str, Any]) -> str:
    """The words behind ``ssl-mix train`` that make the method."""
    given = {name: value for name, value in options.items() if name not in SSL}
    words = (
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name, value in given.items()
    )
    return " ".join((algorithm, *words))


def measured(trainer: Trainer, part: str) -> dict[str, Any]:
    """Train once and score the test part by the teacher."""
    [*_, record] = trainer.fit()
    data = trainer.data
    assert data.test is not None
    answers = predict_probabilities(trainer.teacher.net, data.test.images, data.augmentation, trainer.device)
    labels = data.test.labels
    counts = torch.bincount(data.train.labels[list(trainer.split.labeled)], minlength=len(data.classes))
    found = {"test_accuracy": accuracy(answers, labels), "steps": trainer.config.steps}
    if part == "tail":
        shots = shot_accuracies(answers, labels, counts)
        return found | {"geometric_mean_recall": geometric_mean_recall(answers, labels), **shots}
    return found | {"rejection_auroc": record["rejection_auroc"]}


if __name__ == "__main__":
    main()
