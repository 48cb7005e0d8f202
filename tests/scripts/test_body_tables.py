"""The table of training the whole network."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from benchmarks.body_tables import beside_probe

KEPT = {"fixmatch": (0.8, 0.9), "fixmatch --mix dm-as": (0.86, 0.94), "fine-tuning --mix as": (0.7, 0.9)}


def line(method: str, split: int, **other: Any) -> dict[str, Any]:
    found = {"test_accuracy": KEPT[method][split], "probe_accuracy": 0.7 + split / 10, "start_accuracy": 0.8}
    about = {"phase": "report", "image_size": 96, "method": method, "split": split, "lr": 0.001}
    return {**about, **found, "end_accuracy": 0.6, **other}


def test_a_method_is_held_against_the_probe_its_start_and_itself_unmixed_at_its_size() -> None:
    wanted = [line(method, split) for split in (1, 0) for method in ("fixmatch", "fixmatch --mix dm-as")]
    other = [line("fixmatch", 0, image_size=128), line("fixmatch", 0, phase="tune")]
    columns, rows = beside_probe([*other, *wanted], pixels=96)
    assert [dict(zip(columns, row, strict=True))["accuracy"] for row in rows] == ["85.0", "90.0"]
    means = [[cell.strip("*").split(" ")[0] for cell in row[3:]] for row in rows]
    assert means == [["+10.00", "+5.00", "", "-20.00"], ["+15.00", "+10.00", "+5.00", "-20.00"]]


def test_a_mixing_that_begins_elsewhere_has_no_control() -> None:
    plain = [line("fixmatch", split) | {"method": "fine-tuning"} for split in (0, 1)]
    for found in plain:
        del found["start_accuracy"]
    [_, row] = beside_probe([*plain, *(line("fine-tuning --mix as", split) for split in (0, 1))], pixels=96)[
        1
    ]
    assert row[5] == ""
