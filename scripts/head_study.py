"""What each mixing term is worth where a head alone is trained on cached features, over 20 choices of labels.

``python scripts/head_study.py --net WEIGHTS --caltech50 DIR --cub5 DIR --cifar10 DIR --cache DIR`` computes
the features of the images in DIR/train and DIR/test once, trains the cells of
``scripts/benchmarks/head_grid.py`` that the file of results lacks, in order, and adds a JSON line for each,
with the accuracies of all splits. A data set that is not given is left out.

Of Caltech-50 the first 33 classes are reported; the learning rate of each method is the best of three on the
last 17, with 2 and 5 labels and splits from 100 on ("phase": "tune"). The kinds of unlabeled images are those
of ``auto_ladder.py``; the foreign ones are of those 17 classes.
"""

import argparse
import copy
import dataclasses
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from auto_ladder import tail
from benchmarks.feature_parts import of_classes
from benchmarks.head_grid import ALGORITHMS, DATA, FEATURE_VIEWS, MIXINGS, RATES, Cell, Method, cells, places
from measuring import append_line, circumstances, lines_of
from torch import nn

from ssl_mix.datasets import Split, choose_split
from ssl_mix.recipes.auto import chosen_options
from ssl_mix.recipes.build import build_run
from ssl_mix.recipes.ladder import PROBE, run_of
from ssl_mix.runs.features import Features
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import cached_features
from ssl_mix.runs.prepared import read_data
from ssl_mix.runs.run import Run
from ssl_mix.runs.starts import Start, start_head

SPLITS = 20
STEPS = 150
DIGITS = 5
ROUNDS = 3
TUNED_ON = (100, 101, 102)
TUNED_LABELS = (2, 5)
REPORTED = 33  # classes of Caltech-50
TUNED = "caltech50, other classes"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is missing."""
    asked = read(arguments)
    torch.set_num_threads(1)
    study = Study(asked)
    for data, kind, labels in places():
        if getattr(asked, data) is not None:
            study.starts(data, kind, labels)
    for algorithm in ("fine-tuning", "fixmatch") if asked.costs else ():
        study.cost(algorithm)
    for cell in cells():
        if getattr(asked, cell.data) is not None and cell.method.algorithm in asked.algorithms:
            study.starts(cell.data, cell.kind, cell.labels)
            study.report(cell)


def read(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name in DATA:
        parser.add_argument(f"--{name}", type=Path, help="folder with train and test")
    parser.add_argument("--net", required=True)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--cache", type=Path, required=True, help="folder that keeps the features")
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS), help="leave out others")
    parser.add_argument("--costs", action="store_true", help="time runs of each mixing first")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "head_study.jsonl")
    return parser.parse_args(arguments)


class Study:
    """The lines that are known, and what measures the others.

    Args:
        asked: the command line.
    """

    def __init__(self, asked: argparse.Namespace) -> None:
        self.asked = asked
        self.lines = lines_of(asked.out)
        self.heads: dict[tuple[Any, ...], tuple[nn.Module, Start]] = {}
        self.parts: dict[str, Features] = {}
        found = circumstances(torch.device("cpu"))
        self.setting = {name: found[name] for name in ("hardware", "torch", "commit", "command")}

    def known(self, what: Mapping[str, Any]) -> dict[str, Any] | None:
        """The line of a cell."""
        return next((line for line in self.lines if what.items() <= line.items()), None)

    def add(self, line: dict[str, Any]) -> dict[str, Any]:
        """Write a line."""
        append_line(self.asked.out, line | self.setting)
        self.lines.append(line)
        print(json.dumps(line), flush=True)
        return line

    def starts(self, data: str, kind: str, labels: int) -> None:
        """Accuracies of the heads that training starts from, and once that of the probe of all labels."""
        what = {"phase": "start", "data": data, "kind": kind, "labels": labels}
        if self.known(what) is None:
            found = [self.scores(data, kind, labels, seed) for seed in range(SPLITS)]
            self.add(what | {name: [round(scores[name], DIGITS) for scores in found] for name in found[0]})
        what = {"phase": "all labels", "data": data}
        if self.known(what) is None:
            features = self.features(data)
            accuracy = features.probe_scores(split_of(features, "balanced", None, 0))["probe_accuracy"]
            self.add(what | {"probe": round(accuracy, DIGITS)})

    def scores(self, data: str, kind: str, labels: int, seed: int) -> dict[str, float]:
        """The probe on features as the network makes them, and what heads start from on standardized ones."""
        features = self.features(data)
        _, first = self.begun(data, kind, labels, seed, "prototypes")
        return {
            "probe": features.probe_scores(split_of(features, kind, labels, seed))["probe_accuracy"],
            "start probe": first.scores["probe_accuracy"],
            "start prototypes": first.scores["start_accuracy"],
        }

    def begun(self, data: str, kind: str, labels: int, seed: int, start: str) -> tuple[nn.Module, Start]:
        """A head where training starts, and what was found of it."""
        key = data, kind, labels, seed, start
        if key not in self.heads:
            features = self.features(data)
            net, split = features.network(), split_of(features, kind, labels, seed)
            run = self.run(data, {"head_start": start}, "fine-tuning", seed)
            first = start_head(net, run.net, run.algorithm, features.data, split, run.config)
            assert first is not None
            self.heads[key] = net, first
        return self.heads[key]

    def report(self, cell: Cell) -> None:
        """Train a cell on every split."""
        what = {"phase": "report", "data": cell.data, "kind": cell.kind, "labels": cell.labels}
        what |= cell.method._asdict()
        if self.known(what) is None:
            rate = self.tuned(cell.method)
            found = [self.accuracy(cell, seed, rate) for seed in range(SPLITS)]
            self.add(what | {"steps": STEPS, "lr": rate, "accuracy": found})

    def cost(self, algorithm: str) -> None:
        """CPU seconds of a run of each mixing, the fastest of some; they take turns."""
        taken: dict[str, list[float]] = {mixing: [] for mixing in MIXINGS}
        for _, mixing in product(range(ROUNDS), MIXINGS):
            cell = Cell("caltech50", "balanced", 2, Method(algorithm, mixing))
            self.begun(*cell[:3], 0, "prototypes")
            began = time.process_time()
            self.accuracy(cell, 0, RATES[0])
            taken[mixing].append(time.process_time() - began)
        seconds = {mixing: round(min(values), DIGITS) for mixing, values in taken.items()}
        self.add({"phase": "cost", "algorithm": algorithm, "steps": STEPS, "cpu_seconds": seconds})

    def tuned(self, method: Method) -> float:
        """The learning rate of a method: the best of three, on other classes and other splits."""
        what = {"phase": "tune", **method._asdict()}
        line = self.known(what)
        if line is None:
            found = []
            for rate in RATES:
                trials = [Cell(TUNED, "balanced", labels, method) for labels in TUNED_LABELS]
                every = [self.accuracy(cell, seed, rate) for cell in trials for seed in TUNED_ON]
                found.append(round(statistics.mean(every), DIGITS))
            best = RATES[found.index(max(found))]
            line = self.add(what | {"steps": STEPS, "rates": RATES, "accuracy": found, "lr": best})
        return float(line["lr"])

    def accuracy(self, cell: Cell, seed: int, rate: float) -> float:
        """Test accuracy of a head after its last step."""
        method, features = cell.method, self.features(cell.data)
        split = split_of(features, cell.kind, cell.labels, seed)
        run = self.run(cell.data, method.options() | {"lr": rate}, method.algorithm, seed)
        net, _ = self.begun(*cell[:3], seed, method.start)
        trainer = run.trainer(features.data, split, net=copy.deepcopy(net))
        *_, record = trainer.fit()
        return round(record["test_accuracy"], DIGITS)

    def run(self, data: str, options: Mapping[str, Any], algorithm: str, seed: int) -> Run:
        """A run of a head."""
        return build_run(algorithm, {**self.options(data), **options, "tune": "head", "seed": seed}).run

    def options(self, data: str) -> dict[str, Any]:
        """Of all runs on the images of a data set."""
        root = getattr(self.asked, "caltech50" if data == TUNED else data)
        images = {"train": str(root / "train"), "test": str(root / "test"), "crop": "pad"}
        net = {"net": self.asked.net, "image_size": self.asked.image_size, "threads": 1}
        return chosen_options(
            {
                **images,
                **net,
                "steps": STEPS,
                "log_every": STEPS,
                "feature_views": FEATURE_VIEWS,
                "tta": False,
            }
        )

    def features(self, data: str) -> Features:
        """Of a data set, or a part of it."""
        if data not in self.parts:
            whole = self.whole("caltech50" if data == TUNED else data)
            count = len(whole.data.classes)
            first, last = {TUNED: (REPORTED, count), "caltech50": (0, REPORTED)}.get(data, (0, count))
            self.parts[data] = of_classes(whole, first, last)
        return self.parts[data]

    def whole(self, name: str) -> Features:
        """All images of a data set."""
        run = run_of(PROBE, self.options(name)).settled()
        folder = self.asked.cache / name
        folder.mkdir(parents=True, exist_ok=True)
        return cached_features(run, read_data(run, Given(), None), folder)


def split_of(features: Features, kind: str, labels: int | None, seed: int) -> Split:
    """The labeled and unlabeled images of a cell; of no number of labels, all are labeled."""
    data = features.data
    true = data.train.labels
    split = choose_split(true, len(data.classes), per_class=labels, seed=seed, classes=data.classes)
    if kind == "tail":
        return dataclasses.replace(split, unlabeled=tail(split, true, len(data.classes)))
    if kind == "balanced":
        return dataclasses.replace(split, unlabeled=tuple(i for i in split.unlabeled if true[i] >= 0))
    return split


if __name__ == "__main__":
    main()
