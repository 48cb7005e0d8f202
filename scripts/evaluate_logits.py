"""Accuracy and calibration of predictions that are there already, as the suites of ``ssl-mix evaluate`` have
them.

    python scripts/evaluate_logits.py LOGITS.npz [--seed 0] [--json scripts/results/evaluation.jsonl]

The file holds ``logits`` (N, C) and ``labels`` (N,). A temperature is fitted to one half of the images, which
the seed draws, and measured on the other.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import append_line, circumstances
from torch import Tensor

from ssl_mix.evaluation import accuracy, bootstrap_intervals, macro_f1, mean_class_accuracy, top_k_accuracy
from ssl_mix.suites.calibration import calibration_of, rows, two_halves


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path, help=".npz with logits and labels")
    parser.add_argument("--seed", type=int, default=0, help="of the halves and of the resamples")
    parser.add_argument("--json", type=Path, help="file of lines to add one to")
    asked = parser.parse_args(arguments)
    with np.load(asked.file) as content:
        logits = torch.from_numpy(content["logits"]).float()
        labels = torch.from_numpy(content["labels"]).long()
    found = measured(logits, labels, asked.seed)
    for name, value in found["accuracy"].items():
        low, high = found["intervals"][name]
        print(f"{name}: {value:.4f}, 95 % interval {low:.4f} to {high:.4f}")
    for what, said in rows(found["calibration"]):
        print(f"{what}: {said}")
    if asked.json is not None:
        append_line(asked.json, {"file": asked.file.name, **found, **circumstances(torch.device("cpu"))})


def measured(logits: Tensor, labels: Tensor, seed: int) -> dict[str, Any]:
    """Numbers of logits (N, C) for labels (N,)."""
    calibration, _ = calibration_of(logits, labels, two_halves(logits, labels, seed))
    accuracies = {
        "accuracy": accuracy(logits, labels),
        "mean_class_accuracy": mean_class_accuracy(logits, labels),
        "macro_f1": macro_f1(logits, labels),
    }
    if logits.shape[1] > 5:
        accuracies["top_5_accuracy"] = top_k_accuracy(logits, labels, 5)
    intervals = bootstrap_intervals(logits, labels, seed=seed)
    return {"images": len(labels), "accuracy": accuracies, "intervals": intervals, "calibration": calibration}


if __name__ == "__main__":
    main()
