"""The tables of chosen labels and of wrong ones."""

import sys
from pathlib import Path
from typing import Any

import torch
from scipy.stats import ttest_rel

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from benchmarks.labeling_tables import audits, suggestions
from labeling_study import flipped, nothing_labeled, with_labels

OURS, RANDOM = (0.85, 0.9, 0.8), (0.8, 0.91, 0.72)


def line(by: str, seed: int, accuracy: float) -> dict[str, Any]:
    found = {"labels_per_class": 2, "by": by, "seed": seed, "classes": 5}
    return found | {"probe_accuracy": accuracy, "auto_accuracy": accuracy}


def test_differences_are_paired_by_the_seed_whatever_the_order_of_the_lines() -> None:
    lines = [line("badge", seed, value) for seed, value in enumerate(OURS)]
    lines += [line("random", seed, RANDOM[seed]) for seed in (2, 0, 1)]
    columns, rows = suggestions(lines)
    interval = ttest_rel([100 * x for x in OURS], [100 * x for x in RANDOM]).confidence_interval()
    expected = f"+4.0 ({interval.low:+.1f} to {interval.high:+.1f})"
    assert rows == [
        ["2", "`random`", "5", "81.0", "", "81.0", ""],
        ["2", "`badge`", "5", "85.0", expected, "85.0", expected],
    ]
    assert len(columns) == len(rows[0])


def test_precision_and_recall_of_the_list_and_of_cuts() -> None:
    base = {"labels_per_class": 10, "labels": 200, "wrong": 10, "suggested_right": 0.5}
    lines = [
        base | {"listed": 10, "found": 8, "found_within": {"25": 10}},
        base | {"listed": 20, "found": 10, "found_within": {"25": 10}},
    ]
    _, rows = audits(lines)
    assert rows[0] == ["200", "10", "the list, 15", "9.0", "65 +- 21", "90 +- 14", "50"]
    assert rows[1] == ["200", "10", "the first 25", "10.0", "40 +- 0", "100 +- 0", ""]


def test_flipped_labels_are_of_other_classes() -> None:
    labels = torch.arange(200) % 5
    given, wrong = flipped(labels, 5, 0.05, 3)
    assert int(wrong.sum()) == 10 and (given != labels).equal(wrong)
    assert int(given.min()) >= 0 and int(given.max()) <= 4


def test_labels_move_from_the_unlabeled_part() -> None:
    split = with_labels(nothing_labeled(5, 0), [3, 1])
    assert (split.labeled, split.unlabeled) == ((1, 3), (0, 2, 4))
    assert with_labels(split, [0]).labeled == (0, 1, 3)
