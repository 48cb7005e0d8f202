"""What a run with any registered algorithm must keep: exact resume, learning, no waiting for the device."""

from typing import Any

import pytest
import torch
from algorithm_scene import make, same_bits, timeless
from algorithm_tables import both, each, everything, stateful

from ssl_mix.algorithms import ALGORITHMS


@stateful
def test_resumed_run_has_the_same_bits(name: str, keywords: dict[str, Any]) -> None:
    length = {"steps": 5, "log_every": 2, "eval_every": 5}
    whole = make(ALGORITHMS[name](**keywords), **length)
    records = [timeless(record) for record in whole.fit()]
    first = make(ALGORITHMS[name](**keywords), **length)
    begun = []
    for record in first.fit():
        begun.append(record)
        break
    first.train_step(next(first.feed.batches(first.step)))  # off the beat of the records
    assert first.step == begun[0]["step"] + 1
    second = make(ALGORITHMS[name](**keywords), **length)
    second.load_state_dict(first.state_dict())
    resumed = [timeless(record) for record in second.fit()]
    assert resumed == records[1:]
    state, expected = second.state_dict(), whole.state_dict()
    assert state["step"] == expected["step"] == 5
    for part in ("student", "teacher", "optimizer", "algorithm", "bank"):
        assert same_bits(state[part], expected[part]), part


@each
def test_a_run_depends_on_its_seed(name: str) -> None:
    weights = []
    for seed in (0, 1):
        trainer = make(ALGORITHMS[name](**everything(name)[-1]), steps=1, seed=seed)
        list(trainer.fit())
        weights.append(trainer.student.state_dict())
    assert not same_bits(*weights)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ALGORITHMS.keys() - {"s4l"}))  # to which a turned image is the same
def test_overfits_a_small_set_through_the_public_interface(name: str) -> None:
    algorithm: Any = ALGORITHMS[name](**everything(name)[-1])
    trainer = make(algorithm, per_class=8, steps=60, batch_size=16, log_every=5, eval_every=5)
    assert any(record["test_accuracy"] > 0.9 for record in trainer.fit())


@both
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_step_on_a_gpu_never_waits_for_it(name: str, keywords: dict[str, Any]) -> None:
    if name == "bss":
        pytest.skip("eigenvalues wait for the GPU")
    trainer = make(ALGORITHMS[name](**keywords), device="cuda")
    batches = trainer.feed.batches(0)
    trainer.train_step(next(batches))
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.train_step(next(batches))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.step == 2
