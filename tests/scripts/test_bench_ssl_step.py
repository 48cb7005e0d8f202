"""The benchmark against USB trains what it times, and reads its clock as it says."""

import importlib
import json
import math
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmarks.ssl_step")


@pytest.mark.parametrize("algorithm", ["fixmatch", "flexmatch"])
def test_a_turn_trains_the_network(bench: ModuleType, algorithm: str) -> None:
    options = bench.parser().parse_args(["--batch-size", "2"])
    side = bench.make_side("ours", algorithm, bench.make_noise(300), options)
    before = [parameter.detach().clone() for parameter in side.net.parameters()]
    taken = bench.take_turns({"ours": side}, rounds=1, steps=1)["ours"]
    assert len(taken) == 1 and taken[0].data > 0 and taken[0].step > 0
    assert side.trainer.step == bench.WARM_STEPS + 1
    moved = [not torch.equal(a, b) for a, b in zip(before, side.net.parameters(), strict=True)]
    assert all(moved) and all(parameter.isfinite().all() for parameter in side.net.parameters())


def test_medians_are_compared_with_usb(bench: ModuleType) -> None:
    spent = bench.Spent
    table = bench.summarize(
        {"usb": [spent(1.0, 3.0), spent(1.0, 5.0), spent(2.0, 4.0)], "ours": [spent(0.5, 1.5)]}
    )
    assert table["usb"] == {
        "data_ms": 1000,
        "step_ms": 4000,
        "total_ms": 6000,
        "fastest_ms": 4000,
        "ratio": 1,
    }
    assert table["ours"]["ratio"] == 3


def test_network_is_the_known_one(bench: ModuleType) -> None:
    size = bench.network_size(bench.build_model("wrn-28-2", bench.CLASSES, first_block="raw"))
    usb, stem_bias, unused_norms = 1_467_626, 16, 2 * (32 + 64)
    assert size["parameters"] == usb - stem_bias - unused_norms
    assert math.isclose(size["flops"] / 2, 0.213e9, rel_tol=0.02)


def test_without_usb_ours_is_measured_alone(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "import_usb", lambda: None)
    file = tmp_path / "lines.jsonl"
    line = f"--batch-size 1 --images 300 --rounds 1 --steps 1 --sides usb ours --json {file}"
    bench.main(line.split())
    assert "semilearn is not installed" in capsys.readouterr().out
    results = [json.loads(text) for text in file.read_text().splitlines()]
    assert [result["algorithm"] for result in results] == ["fixmatch", "flexmatch"]
    for result in results:
        assert set(result["sides"]) == {"ours"} and "ratio" not in result["sides"]["ours"]
