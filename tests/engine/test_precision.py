"""In which precision a run on a CPU trains: chosen once, by time, and kept."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from algorithm_scene import same_bits
from torch import nn

from ssl_mix import TrainConfig
from ssl_mix.engine import precision
from ssl_mix.engine.precision import Measured, measured, precision_note, settled
from ssl_mix.models import SmallCNN
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.folder import read_config
from ssl_mix.runs.session import reopen, start

CPU = torch.device("cpu")
SHAPE = (1, 8, 8)
LONG = TrainConfig(steps=1000, batch_size=8)
OPTIONS: dict[str, Any] = {"data": "digits", "net": "small-cnn", "labels_per_class": 2, "batch_size": 4}
OPTIONS |= {"steps": 4, "eval_every": 2, "checkpoint_every": 2, "threads": 1, "unlabeled_ratio": 1}


@pytest.fixture
def times(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Seconds that float32 and bfloat16 are found to take; the passes are made all the same."""
    found, turns = [1.0, 1.0], [0]

    def seconds(work: Callable[[], None]) -> float:
        work()
        turns[0] += 1
        return found[(turns[0] - 1) % 2]

    monkeypatch.setattr(precision, "_seconds", seconds)
    monkeypatch.setattr(precision, "_known", {})
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda: True)
    yield found


@pytest.mark.parametrize(("halved", "amp"), [(0.5, "bf16"), (0.8, "bf16"), (0.81, "auto"), (2.0, "auto")])
def test_bfloat16_is_taken_where_it_is_a_quarter_faster(times: list[float], halved: float, amp: str) -> None:
    times[1] = halved
    found = settled(LONG, SmallCNN(4, channels=1), SHAPE, CPU, 8)
    assert found == replace(LONG, amp=amp)
    assert bool(precision_note(LONG, found)) == (amp == "bf16")


@pytest.mark.parametrize(
    ("changes", "shape", "device"),
    [
        ({"amp": "off"}, SHAPE, "cpu"),
        ({"amp": "fp16"}, SHAPE, "cpu"),
        ({"steps": 799}, SHAPE, "cpu"),
        ({}, (64,), "cpu"),
        ({}, SHAPE, "cuda"),
    ],
)
def test_what_was_said_and_what_does_not_pay_stay(
    times: list[float], changes: dict[str, Any], shape: tuple[int, ...], device: str
) -> None:
    times[1], config = 0.1, replace(LONG, **changes)
    assert settled(config, SmallCNN(4, channels=1), shape, torch.device(device), 8) is config
    assert precision._known == {}


def test_a_processor_without_bfloat16_is_not_measured(
    times: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    times[1] = 0.1
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda: False)
    assert settled(LONG, SmallCNN(4, channels=1), SHAPE, CPU, 8) is LONG and precision._known == {}


def test_measuring_leaves_no_trace_and_is_done_once(times: list[float]) -> None:
    net, alike = SmallCNN(4, channels=1), SmallCNN(4, channels=1)
    net.blocks[0].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes, drawn = [module.training for module in net.modules()], torch.get_rng_state()
    times[:] = 3.0, 2.0
    assert measured(LONG, net, (2, *SHAPE)) == Measured(3.0, 2.0)
    times[:] = 1.0, 1.0
    assert measured(LONG, alike, (2, *SHAPE)).gain == 1.5
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters())
    assert [module.training for module in net.modules()] == modes
    assert torch.equal(torch.get_rng_state(), drawn)


def test_a_network_that_refuses_the_images_is_left_to_the_trainer(times: list[float]) -> None:
    assert settled(LONG, nn.Linear(3, 2), SHAPE, CPU, 8) is LONG


def test_a_run_keeps_what_was_chosen_and_goes_on_to_the_bit(
    times: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "SHARE", 1.0)
    times[1] = 0.5
    run = build_run("fixmatch", OPTIONS).run
    whole = start(run, tmp_path / "whole")
    assert any("training in bfloat16 (`amp=bf16`)" in note for note in whole.notes)
    assert read_config(tmp_path / "whole")["train"]["amp"] == whole.trainer.config.amp == "bf16"
    list(whole.records())
    half = start(run, tmp_path / "half")
    times[1] = 2.0  # of which what goes on takes no notice
    precision._known.clear()
    for record in half.records():
        half.trainer.stop = record["step"] == 2
    rest = reopen(tmp_path / "half")
    list(rest.records())
    assert same_bits(rest.trainer.state_dict(), whole.trainer.state_dict()) and precision._known == {}
    exact = start(replace(run, config=replace(run.config, amp="off")), tmp_path / "exact")
    list(exact.records())
    assert not same_bits(exact.trainer.student.state_dict(), whole.trainer.student.state_dict())
