"""Long tails and images of no class on the embedded digits: what each way to deal with them is worth.

``python scripts/tail_study.py`` trains every method with the same steps and batches on three choices of
labels, and writes a JSON line for each run to ``scripts/results/tail_study.jsonl``. Lines that are there are
left out.

- "tail": 50 labels of the commonest class, 1 of the rarest, and unlabeled images with the same ratio of 50.
- "open": 4 labels of each of six classes, and all other images unlabeled, those of the other four classes
  too.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from measuring import append_line, commit

from ssl_mix.evaluation import accuracy, geometric_mean_recall, predict_probabilities, shot_accuracies
from ssl_mix.rebalance import ADDONS
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.prepared import prepare

OUT = Path(__file__).parent / "results" / "tail_study.jsonl"
COMMON = {"data": "digits", "net": "small-cnn", "steps": 300, "batch_size": 16, "threads": 1}
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
    parser.add_argument("--steps", type=int, default=COMMON["steps"])
    parser.add_argument("--out", type=Path, default=OUT)
    asked = parser.parse_args(arguments)
    there = asked.out.read_text().splitlines() if asked.out.exists() else []
    known = [{key: line[key] for key in ("part", "method", "seed")} for line in map(json.loads, there)]
    for seed in range(asked.seeds):
        for part in asked.parts:
            for algorithm, options in METHODS[part]:
                cell = {"part": part, "method": name_of(algorithm, options), "seed": seed}
                if cell not in known:
                    found = measured(algorithm, options | {"steps": asked.steps}, part, seed)
                    append_line(asked.out, cell | found | {"steps": asked.steps, "commit": commit()})


def name_of(algorithm: str, options: dict[str, Any]) -> str:
    """The words behind ``ssl-mix train`` that make the method."""
    given = {name: value for name, value in options.items() if name not in SSL}
    words = (
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name, value in given.items()
    )
    return " ".join((algorithm, *words))


def measured(algorithm: str, options: dict[str, Any], part: str, seed: int) -> dict[str, Any]:
    """Train once and score the test part by its teacher."""
    began = time.perf_counter()
    run = build_run(
        algorithm, COMMON | PARTS[part] | options | {"seed": seed, "eval_every": options["steps"]}
    ).run
    trainer = prepare(run).trainer
    [*_, record] = trainer.fit()
    data = trainer.data
    assert data.test is not None
    answers = predict_probabilities(trainer.teacher.net, data.test.images, data.augmentation, trainer.device)
    labels = data.test.labels
    counts = torch.bincount(data.train.labels[list(trainer.split.labeled)], minlength=len(data.classes))
    found = {"test_accuracy": accuracy(answers, labels)}
    if part == "tail":
        shots = shot_accuracies(answers, labels, counts)
        found |= {"geometric_mean_recall": geometric_mean_recall(answers, labels), **shots}
    else:
        found["rejection_auroc"] = record["rejection_auroc"]
    return found | {"seconds": round(time.perf_counter() - began, 1)}


if __name__ == "__main__":
    main()
