"""What the whole process shares is after each call of a trainer as it was before it."""

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ssl_mix import MixingTerms, TrainConfig, Trainer
from ssl_mix.algorithms import CoTuning, FixMatch, MixMatch, Supervised
from ssl_mix.datasets import choose_split, load_digits_data
from ssl_mix.engine.execution import own_state
from ssl_mix.models import build_model
from ssl_mix.models.pretrained import keep_source_head

CUDNN = torch.backends.cudnn
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
GPU = pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])


def shared() -> list[Any]:
    """Everything that could be left changed, in a form that compares."""
    numbers = np.random.get_state()
    gpus = [state.tolist() for state in torch.cuda.get_rng_state_all()] if torch.cuda.is_initialized() else []
    return [
        torch.get_rng_state().tolist(),
        gpus,
        [numbers[0], numbers[1].tolist(), *numbers[2:]],
        random.getstate(),
        torch.get_num_threads(),
        CUDNN.deterministic,
        CUDNN.benchmark,
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        torch.are_deterministic_algorithms_enabled(),
    ]


@pytest.fixture(params=[True, False])
def settings(request: pytest.FixtureRequest) -> Iterator[bool]:
    """cuDNN's settings of before, which none of the trainers has."""
    before = CUDNN.deterministic, CUDNN.benchmark
    CUDNN.deterministic, CUDNN.benchmark = request.param, request.param
    yield request.param
    CUDNN.deterministic, CUDNN.benchmark = before


@pytest.mark.parametrize("device", ["cpu", GPU])
@pytest.mark.parametrize(
    "make",
    [
        Supervised,
        lambda: Supervised(mixing=MixingTerms(mix="mixup", mixer="automix")),
        FixMatch,
        MixMatch,
        CoTuning,
    ],
    ids=["supervised", "automix", "fixmatch", "mixmatch", "co-tuning"],
)
def test_a_trainer_changes_nothing_that_others_share(make: Any, device: str, settings: bool) -> None:
    del settings
    if device == "cuda":
        torch.cuda.init()
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    torch.manual_seed(5)
    net = build_model("small-cnn", 10, channels=1)
    net.blocks.append(nn.Dropout(0.2))  # type: ignore[operator, union-attr]
    keep_source_head(net, nn.Linear(64, 7))
    threads = torch.get_num_threads() + 1
    config = TrainConfig(steps=3, batch_size=8, eval_every=2, log_every=1, threads=threads, device=device)
    before = shared()
    trainer = Trainer(make(), net, data, split, config)
    assert shared() == before
    for record in trainer.fit():
        assert shared() == before, record["step"]
    trainer.evaluate()
    trainer.load_state_dict(trainer.state_dict())
    assert shared() == before and trainer.step == 3


def test_within_a_step_the_settings_are_those_of_the_run() -> None:
    seen: list[Any] = []

    class Looking(Supervised):
        def forward(self, *given: Any) -> Any:
            seen.append((torch.get_num_threads(), CUDNN.deterministic, CUDNN.benchmark, torch.rand(1).item()))
            return super().forward(*given)

    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    config = TrainConfig(steps=2, batch_size=8, threads=3, deterministic=False, device="cpu")
    for _ in range(2):
        torch.rand(1)  # draws elsewhere do not matter
        list(Trainer(Looking(), build_model("small-cnn", 10, channels=1), data, split, config).fit())
    assert all(found[:3] == (3, False, True) for found in seen)
    draws = [found[3] for found in seen]
    assert draws[:2] == draws[2:] and draws[0] != draws[1]


def test_all_is_restored_after_an_error() -> None:
    before = shared()
    with pytest.raises(KeyError), own_state(TrainConfig(threads=7), torch.device("cpu"), "network", 4):
        assert shared() != before
        torch.rand(3)
        raise KeyError
    assert shared() == before


@pytest.mark.gpu
@NO_GPU
def test_a_gpu_is_seeded_without_being_waited_for() -> None:
    config, device = TrainConfig(deterministic=True), torch.device("cuda")
    torch.rand(1, device=device)
    draws = []
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in (3, 3, 4):
            with own_state(config, device, "network", step):
                draws.append(torch.rand(5, device=device))
            torch.rand(1, device=device)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])
