"""The tables of heads for mixed images."""

import sys
from pathlib import Path
from typing import Any

from scipy.stats import ttest_rel

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from benchmarks.mix_head_tables import USUAL, heads

PLAIN, SHARED, OWN = (94.0, 92.0, 93.0), (90.0, 91.0, 86.0), (95.0, 92.5, 94.5)


def of(accuracies: tuple[float, ...], mix: str, head: str = "shared", **changed: Any) -> list[dict[str, Any]]:
    setting = USUAL | changed
    mixing = {"mix": mix, "mix_head": head, **{name: setting[name] for name in ("mix_weight", "mix_ramp")}}
    identity = {"algorithm.threshold": setting["threshold"], "algorithm.mixing": mixing}
    return [
        {
            "algorithm": "fixmatch",
            "seed": seed,
            "error_last": 100 - value,
            "coverage": 80,
            "identity": identity,
        }
        for seed, value in enumerate(accuracies)
    ]


def gain(ours: tuple[float, ...], control: tuple[float, ...]) -> str:
    low, high = ttest_rel(ours, control).confidence_interval()
    text = f"{(low + high) / 2:+.2f} ({low:+.2f} to {high:+.2f})"
    return f"**{text}**" if low > 0 or high < 0 else text


def test_a_row_pairs_both_heads_by_the_seed_and_leaves_other_settings_out() -> None:
    other = [
        line
        for name, value in (("threshold", 0.8), ("mix_weight", 0.3))
        for line in of(OWN, "dm-as", **{name: value})
    ]
    lines = [*of(OWN, "dm-as", "own"), *other, *reversed(of(SHARED, "dm-as")), *of(PLAIN, "none")]
    columns, rows = heads(lines, algorithm="fixmatch")
    assert rows == [
        ["`none`", "93.0", "", "80", "", "", "", ""],
        ["`dm-as`", "89.0", gain(SHARED, PLAIN), "80", "94.0", gain(OWN, PLAIN), "80", gain(OWN, SHARED)],
    ]
    assert all(len(row) == len(columns) for row in rows)


def test_a_changed_weight_is_held_against_no_mixing_and_a_changed_threshold_against_its_own() -> None:
    lines = [*of(PLAIN, "none"), *of(SHARED, "none", threshold=0.8), *of(OWN, "dm-as", mix_weight=0.3)]
    assert heads(lines, algorithm="fixmatch", mix_weight=0.3)[1][1][2] == gain(OWN, PLAIN)
    assert heads(lines, algorithm="fixmatch", threshold=0.8)[1] == [["`none`", "89.0", "", "80", *[""] * 4]]
