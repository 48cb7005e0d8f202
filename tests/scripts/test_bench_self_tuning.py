"""The benchmark of Self-Tuning compares two forms of the same step."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ssl_mix.losses import group_contrast

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    return importlib.import_module("bench_self_tuning")


def unit(*shape: int) -> torch.Tensor:
    return torch.nn.functional.normalize(torch.randn(*shape, dtype=torch.float64), dim=-1)


def test_the_looped_contrast_is_the_same_loss(bench: ModuleType) -> None:
    torch.manual_seed(0)
    query, key, queue = unit(9, 6), unit(9, 6), unit(5, 4, 6)
    labels = torch.randint(5, (9,))
    looped = bench.looped_contrast(query, key, queue, labels, 0.07)
    torch.testing.assert_close(looped, group_contrast(query, key, queue, labels), rtol=1e-12, atol=1e-12)


def test_both_sides_take_the_same_step(bench: ModuleType) -> None:
    options = bench.arguments().parse_args(
        ["--net", "small-cnn", "--classes", "4", "--image-size", "16", "--batch-size", "8", "--device", "cpu"]
    )
    trainers = {side: bench.make_trainer(side, options) for side in bench.SIDES}
    for trainer in trainers.values():
        trainer.train_step(next(trainer.feed.batches(0)))
    ours, looped = trainers["ours"], trainers["looped"]
    torch.testing.assert_close(ours.algorithm.queue.keys, looped.algorithm.queue.keys)
    assert torch.equal(ours.algorithm.queue.next_slot, looped.algorithm.queue.next_slot)
    for (name, mine), theirs in zip(
        ours.student.named_parameters(), looped.student.parameters(), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5, msg=name)
