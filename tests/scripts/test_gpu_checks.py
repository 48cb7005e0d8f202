"""The checks of a GPU, rehearsed on the CPU: each part runs, and its line says what it measured."""

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
SMALL = "--device cpu --net small-cnn --batch-size 2 --steps 1 --rounds 1 --parity-batch 2 --parity-steps 2"
SMALL += " --alike-steps 2"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("gpu_checks")


def lines_of(
    checks: ModuleType, part: str, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> list[dict[str, object]]:
    file = folder / "lines.jsonl"
    monkeypatch.setattr(sys, "argv", f"gpu_checks.py {part} --json {file} {SMALL}".split())
    with pytest.raises(SystemExit):
        checks.main()
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_parity_is_exact_on_one_device(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (line,) = lines_of(checks, "parity", monkeypatch, tmp_path)
    assert line["ok"] and line["worst_relative_difference"] == line["views_differ_by"] == 0
    assert len(line["losses_cpu"]) == 2 and line["losses_cpu"][0] != line["losses_cpu"][1]


def test_ways_of_a_network_are_held_against_the_eager_one(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (line,) = lines_of(checks, "alike", monkeypatch, tmp_path)
    assert line["ok"] and line["steps"] == 2 and line["worst_relative_difference"] == 0
    found = checks.difference([2.0, 4.0], [2.0, 4.1])
    assert found == {"worst_relative_difference": pytest.approx(0.025), "ok": False}


def test_step_is_held_against_its_network(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = lines_of(checks, "step", monkeypatch, tmp_path)
    assert [line["amp"] for line in found] == ["bf16", "off", "bf16"]
    for line in found:
        assert line["step_over_bound"] == pytest.approx(line["step_ms"] / line["bound_ms"])
        assert line["launches"] > line["network_launches"] > 0 and line["commit"]


def test_a_failing_part_leaves_a_line(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(options: argparse.Namespace) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setitem(checks.PARTS, "hardware", fail)
    (line,) = lines_of(checks, "hardware", monkeypatch, tmp_path)
    assert not line["ok"] and "no such kernel" in line["error"] and line["command"]


@pytest.mark.parametrize("ahead", [False, True])
def test_augmenting_ahead_changes_no_batch(checks: ModuleType, ahead: bool) -> None:
    steps = importlib.import_module("benchmarks.gpu_step")
    cpu = checks.torch.device("cpu")
    trainers = [
        steps.make_trainer(checks.FixMatch(), "small-cnn", cpu, steps.Way(amp="off"), 2) for _ in range(2)
    ]
    step, batches = steps.stepper(trainers[0], ahead), trainers[1].feed.batches(0)
    for _ in range(3):
        step()
        trainers[1].train_step(next(batches))
        assert trainers[0].record() == trainers[1].record()


def test_what_a_step_runs_beside_its_network(checks: ModuleType) -> None:
    summary = importlib.import_module("benchmarks.gpu_step").summary
    found = summary({"conv": (5.0, 10), "gather": (1.0, 3)}, {"conv": (4.0, 10)})
    assert found["busy_ms"] == 6 and found["network_launches"] == 10
    assert [row[0] for row in found["costliest_beside_network"]] == ["conv", "gather"]
    assert found["costliest_beside_network"][0][1:] == [1.0, 0]
