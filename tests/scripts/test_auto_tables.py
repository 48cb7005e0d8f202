"""The table of ``ssl-mix auto`` beside the linear probe."""

import sys
from pathlib import Path
from typing import Any

import pytest
from scipy.stats import ttest_rel

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from benchmarks.auto_tables import beside_probe, votes

OURS, PROBE = (0.85, 0.9, 0.8), (0.8, 0.91, 0.72)


def line(accuracy: float, probe: float, kind: str = "balanced", size: int = 224) -> dict[str, Any]:
    found = {"accuracy": accuracy, "probe_accuracy": probe, "tests": {"probe": probe + 0.01}}
    return {"data": "cub5", "image_size": size, "kind": kind, "labels_per_class": 2, **found}


def test_a_row_pairs_choices_of_labels_and_has_the_interval_of_the_t_test() -> None:
    lines = [line(one, other) for one, other in zip(OURS, PROBE, strict=True)]
    other = [line(0.7, 0.7, size=96), line(0.8, 0.7, size=96), line(0.7, 0.7, "tail"), line(0.8, 0.7, "tail")]
    anew = [line(0.6, 0.5) | {"redrawn": True}, line(0.8, 0.5) | {"redrawn": True}]
    every = [lines[0], other[0], *anew, *lines[1:], *other[1:]]
    columns, rows = beside_probe(every)
    assert [found[6:8] for found in beside_probe(every, redrawn=True)[1]] == [["70.0", "+20.0"]]
    interval = ttest_rel([100 * x for x in OURS], [100 * x for x in PROBE]).confidence_interval()
    expected = f"{interval.low:+.1f} to {interval.high:+.1f}"
    assert rows[1] == [
        "5 species of birds",
        "224",
        "balanced",
        "2",
        "81.0",
        "82.0",
        "85.0",
        "+4.0",
        expected,
        "1 of 3",
    ]
    assert columns[4:7] == ["probe", "probe, two looks", "auto"]
    assert all(len(columns) == len(row) for row in rows)
    assert [row[1:3] for row in rows] == [["96", "balanced"], ["224", "balanced"], ["224", "tail"]]
    assert float(rows[2][7]) == pytest.approx(5)


def test_votes_are_held_against_the_whitened_head() -> None:
    def of(*accuracies: float) -> dict[str, Any]:
        ways = dict(zip(("probe", "whitened", "v-pet"), accuracies, strict=True))
        return {"data": "cub5", "labels_per_class": 2, "accuracy": ways}

    columns, rows = votes([of(0.5, 0.6, 0.7), of(0.7, 0.8, 0.7)])
    assert columns == ["images", "labels", "probe", "whitened", "v-pet", "to whitened"]
    assert rows == [["5 species of birds", "2", "60.0", "70.0", "70.0", "+0.0 +- 14.1"]]
