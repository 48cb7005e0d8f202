"""What the pseudo-labels of a run are worth, from its folder alone: how many count, how many are right, and
whether one class swallows the others."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssl_mix.banks import NEVER
from ssl_mix.datasets import Split
from ssl_mix.evaluation import class_bias
from ssl_mix.runs.folder import LABELS, SPLIT, Record, read_metrics
from ssl_mix.runs.reading import reading

COUNTS = "pseudo_labels/"  # of the names of records, before that of a class


def known_labels(folder: Path) -> Tensor:
    """The class of each training image of a run, (N,) int64, -1 where unknown.

    Raises:
        ValueError: the file is missing or damaged.
    """
    with reading(folder / LABELS):
        return torch.tensor(json.loads((folder / LABELS).read_text()), dtype=torch.int64)


def labeled_counts(folder: Path, num_classes: int) -> Tensor:
    """Labeled images that a run learned from, of each of C classes, (C,) int64."""
    labels = known_labels(folder)[torch.tensor(Split.load(folder / SPLIT).labeled)]
    return torch.bincount(labels, minlength=num_classes)


def pseudo_label_numbers(folder: Path, bank: Mapping[str, Tensor], classes: Sequence[str]) -> dict[str, Any]:
    """The numbers of the ``pseudo-labels`` suite, ready for JSON.

    Args:
        folder: of the run.
        bank: state of its pseudo-label bank.
        classes: C names.

    Returns:
        images: unlabeled images; seen: of those, with a pseudo-label; counted: with one that counts.
        coverage: counted / images.
        judged: counted ones whose true class is known; right: of those; precision: right / judged, or None.
        bias: :class:`ssl_mix.evaluation.ClassBias` of the counted ones, "largest" by name; None without any.
        classes: for each "name", "counted", "labeled" and "known": pseudo-labels that count, labeled images,
            and unlabeled images that are truly of the class, as far as known.
        confusion: [true class, predicted class, images] of the judged ones, by position, none of 0 images.
        history: for each evaluation "step", "counted", "coverage", "precision" where known, and "excess",
            "ratio", "kl" of the bias.
    """
    split, labels = Split.load(folder / SPLIT), known_labels(folder)
    prior = torch.bincount(labels[torch.tensor(split.labeled)], minlength=len(classes))
    truth, label = labels[torch.tensor(split.unlabeled, dtype=torch.int64)], bank["label"].long()
    passed = bank["passed"] & (label != NEVER)
    judged = passed & (truth >= 0)
    right = int((judged & (label == truth)).sum())
    counts = torch.bincount(label[passed], minlength=len(classes))
    known = torch.bincount(truth[truth >= 0], minlength=len(classes))
    columns = zip(classes, counts.tolist(), prior.tolist(), known.tolist(), strict=True)
    return {
        "images": len(label),
        "seen": int((label != NEVER).sum()),
        "counted": int(passed.sum()),
        "coverage": int(passed.sum()) / max(1, len(label)),
        "judged": int(judged.sum()),
        "right": right,
        "precision": right / int(judged.sum()) if bool(judged.any()) else None,
        "bias": _bias(counts, prior, classes),
        "classes": [dict(zip(("name", "counted", "labeled", "known"), row, strict=True)) for row in columns],
        "confusion": _cells(truth[judged], label[judged]),
        "history": [_moment(r, prior, classes) for r in read_metrics(folder) if "bank_coverage" in r],
    }


def _bias(counts: Tensor, prior: Tensor, classes: Sequence[str]) -> dict[str, Any] | None:
    if not counts.any():
        return None
    found = class_bias(counts, prior)
    return found._asdict() | {"largest": classes[found.largest]}


def _cells(truth: Tensor, label: Tensor) -> list[list[int]]:
    images = Counter(zip(truth.tolist(), label.tolist(), strict=True))
    return [[*pair, count] for pair, count in sorted(images.items())]


def _moment(record: Record, prior: Tensor, classes: Sequence[str]) -> dict[str, Any]:
    counts = torch.tensor([int(record.get(COUNTS + name, 0)) for name in classes])
    bias = {} if not counts.any() else class_bias(counts, prior)._asdict()
    told = {name: record[f"bank_{name}"] for name in ("coverage", "precision") if f"bank_{name}" in record}
    moment = {"step": int(record["step"]), "counted": int(counts.sum()), **told}
    return moment | {name: bias[name] for name in ("excess", "ratio", "kl") if bias}
