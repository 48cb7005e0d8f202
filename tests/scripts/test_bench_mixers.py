"""The benchmark of the mixers counts calls and compares lines as it says."""

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "scripts"
CPU = torch.device("cpu")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("benchmarks.mixers")


def test_lines_are_compared_with_their_own_kind(bench: ModuleType) -> None:
    seconds = {bench.FLOOR: 1.0, bench.NEW_MEMORY: 2.0, "mixup": 4.0, "fmix": 8.0}
    seconds |= {"timm mixup batch": 6.0, "timm mixup elem": 40.0}
    seconds |= {"timm cutmix batch": 4.0, "timm cutmix elem": 80.0}
    table = bench.compare(seconds, count=128)
    names = ("images_per_second", "over_floor", "over_new_memory", "times_timm_batch", "times_timm_elem")
    assert table["mixup"] == dict(zip(names, (32.0, 4.0, 2.0, 1.5, 10.0), strict=True))
    assert table["fmix"] == dict(zip(names, (16.0, 8.0, 4.0, 0.5, 10.0), strict=True))


def test_without_timm_there_is_no_ratio_to_it(bench: ModuleType) -> None:
    table = bench.compare({bench.FLOOR: 1.0, bench.NEW_MEMORY: 2.0, "mixup": 4.0}, count=1)
    assert not any("timm" in name for row in table.values() for name in row)


def test_time_is_per_call_however_many_fill_a_turn(
    bench: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    def call(name: str) -> None:
        clock[0] += costs[name]
        calls[name] += 1

    monkeypatch.setattr("time.perf_counter", lambda: clock[0])
    costs, calls = {"short": 0.001, "long": 0.02}, {"short": 0, "long": 0}
    works = {name: partial(call, name) for name in costs}
    assert bench.measure_calls(works, 3, CPU) == pytest.approx(costs)
    assert calls["long"] == 3 + 5 and calls["short"] in (3 + 5 * 9, 3 + 5 * 10)  # 10 ms a turn


def test_every_mixer_has_a_line_that_mixes(bench: ModuleType) -> None:
    images = torch.randn(4, 3, 16, 16)
    net = bench.build_model("small-cnn", bench.CLASSES)
    inputs = bench.Inputs(images, torch.arange(4), net, "small-cnn")
    works = bench.all_works(inputs, None)
    for name in bench.MIXERS.keys() - bench.TRANSFORMERS:
        lines = [line for line in works if line.split(" ")[0] == name]
        assert lines, name
        for line in lines:
            works[line]()
    assert {line for line in works if "saliency" in line and "+" in line} == {
        "saliencymix + saliency (no network)",
        "comixup + saliency (small-cnn)",
        "puzzlemix + saliency (small-cnn)",
        "snapmix + saliency (small-cnn)",
        "tokenmix + saliency (small-cnn)",
    }


def test_unknown_sizes_are_refused(bench: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench.parser().parse_args(["--sizes", "33"])
    assert "invalid choice: 33" in capsys.readouterr().err
