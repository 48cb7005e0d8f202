"""What recipes of papers ask of the trainer, against timm's own schedules, groups, sampler and optimizers."""

from typing import Any

import pytest
import torch
from algorithm_scene import CLASSES, blobs, make
from timm.data.distributed_sampler import RepeatAugSampler
from timm.optim import create_optimizer_v2, param_groups_layer_decay
from timm.scheduler import CosineLRScheduler
from torch import nn

from ssl_mix import TrainConfig
from ssl_mix.algorithms import Supervised
from ssl_mix.datasets import ShuffledIndex
from ssl_mix.datasets.repeated import RepeatedIndex
from ssl_mix.datasets.weighted import WeightedIndex
from ssl_mix.engine.layers import layer_factors
from ssl_mix.engine.optimizer import build_optimizer, learning_rate
from ssl_mix.models import SmallCNN, build_model

EPOCH, EPOCHS, WARM = 7, 20, 3


@pytest.mark.parametrize("every", [1, EPOCH])
def test_the_cosine_by_step_and_by_epoch_is_timms(every: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    theirs = CosineLRScheduler(
        optimizer,
        t_initial=EPOCHS * EPOCH // every,
        lr_min=0.01,
        warmup_t=WARM * EPOCH // every,
        warmup_lr_init=0.002,
    )
    config = TrainConfig(
        steps=EPOCHS * EPOCH,
        lr=0.4,
        final_lr=0.01,
        schedule="half-cosine",
        warmup_steps=WARM * EPOCH,
        warmup_lr=0.002,
        lr_every=every,
    )
    for step in range(EPOCHS * EPOCH):
        theirs.step(step // every)
        assert learning_rate(config, step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "convnext_atto", "resnet18"])
def test_layers_and_their_factors_are_timms(name: str) -> None:
    with torch.device("meta"):
        net = build_model(f"timm:{name}", 3)
    body: Any = net.body
    exempt = body.no_weight_decay() if hasattr(body, "no_weight_decay") else ()
    expected = param_groups_layer_decay(body, 0.05, no_weight_decay_list=exempt, layer_decay=0.7)
    groups = build_optimizer(
        nn.ModuleList([net]), TrainConfig(layer_decay=0.7, weight_decay=0.05)
    ).param_groups
    scales = {id(p): (g["lr_scale"], g["weight_decay"]) for g in expected for p in g["params"]}
    assert {id(p): (g["factor"], g["weight_decay"]) for g in groups for p in g["params"]} == scales


def test_stages_are_the_layers_of_other_networks() -> None:
    net = SmallCNN(CLASSES, channels=1)
    factors = layer_factors(net, 0.5)
    found = {name.rpartition(".")[0]: factors[id(weight)] for name, weight in net.named_parameters()}
    convolutions = [found[f"blocks.{place}"] for place in (0, 3, 6)]
    assert (*convolutions, found["head"]) == (0.125, 0.25, 0.5, 1)
    with pytest.raises(ValueError, match="layers are known"):
        layer_factors(nn.Linear(2, 2), 0.5)
    with pytest.raises(ValueError, match=r"layer_decay must lie in \(0, 1\]"):
        TrainConfig(layer_decay=0)


def test_the_factor_of_a_layer_multiplies_that_of_the_head_and_the_rate() -> None:
    trainer = make(Supervised(), head_lr_factor=10, layer_decay=0.5, steps=4)
    trainer.train_step(next(trainer.feed.batches(0)))
    rates = {id(p): g["lr"] for g in trainer.optimizer.param_groups for p in g["params"]}
    net: Any = trainer.student
    assert rates[id(net.head.weight)] == 10 * 0.05 and rates[id(net.blocks[0].weight)] == 0.05 / 8


def test_repeats_are_those_of_timms_sampler_shared_among_processes() -> None:
    order = ShuffledIndex(range(12), 12, seed=3, stream="labeled")
    ours = RepeatedIndex(order, 3)
    ranks = [
        RepeatAugSampler(order.batch(0).tolist(), 4, rank, shuffle=False, num_repeats=3) for rank in range(4)
    ]
    each = [[int(order.batch(0)[place]) for place in sampler] for sampler in ranks]
    theirs = [each[place % 4][place // 4] for place in range(12)]
    assert sorted(ours.batch(0).tolist()) == sorted(theirs)
    whole = torch.cat([ours.batch(step) for step in range(3)])
    assert whole.bincount().tolist() == [3] * 12  # the permutation to its end
    assert all(len({*part.tolist()}) == 4 for part in ours.batch(0).chunk(3))  # apart within the batch


@pytest.mark.parametrize("size", [4, 5, 7])
def test_repeats_go_on_over_batches_that_they_do_not_fill(size: int) -> None:
    labels = torch.tensor([0] * 9 + [1])
    for order in (
        ShuffledIndex(range(10), size, seed=0, stream="labeled"),
        WeightedIndex(labels, (), size, seed=0, stream="labeled"),
    ):
        ours = RepeatedIndex(order, 3)
        row = torch.cat([order.batch(step) for step in range(4)]).repeat_interleave(3)
        for step in range(10):
            expected = row[step * size : (step + 1) * size]
            assert ours.batch(step).sort().values.equal(expected.sort().values)


@pytest.mark.parametrize("name", ["lamb", "nadamw", "lion"])
def test_optimizers_of_timm_step_as_timms(name: str) -> None:
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    mine = build_optimizer(ours, TrainConfig(optimizer=name, lr=0.01, weight_decay=0.1))
    other = create_optimizer_v2(theirs, name, lr=0.01, weight_decay=0.1)
    for _ in range(3):
        for net, optimizer in ((ours, mine), (theirs, other)):
            optimizer.zero_grad()
            net(torch.tensor([[1.0, -2.0, 0.5]])).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lamp", "optimizer must be sgd, adamw or one of timm .*Did you mean 'lamb'"),
        ("adahessian", "optimizer must be sgd, adamw or one of timm"),
    ],
)
def test_optimizers_that_nobody_has_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(optimizer=name)


def test_optimizers_that_need_what_is_not_here_say_so() -> None:
    with pytest.raises(ValueError, match="`optimizer=fusedlamb` cannot be made here"):
        build_optimizer(nn.Linear(1, 1), TrainConfig(optimizer="fusedlamb"))


@pytest.mark.parametrize("name", ["lamb", "muon"])
def test_all_of_it_together_goes_on_to_the_same_bits(name: str) -> None:
    options: dict[str, Any] = {
        "optimizer": name,
        "lr": 0.01,
        "layer_decay": 0.6,
        "repeated_augmentation": 4,
        "accumulate": 2,
        "clip_grad": 0.5,
        "ema_decay": 0.9,
        "schedule": "half-cosine",
        "warmup_steps": 2,
        "lr_every": 2,
        "balanced": True,
        "log_every": 3,
        "steps": 6,
        "eval_every": 6,
    }
    whole, first, second = (make(Supervised(), data=blobs(32), **options) for _ in range(3))
    list(whole.fit())
    next(iter(first.fit()))
    second.load_state_dict(first.state_dict())
    list(second.fit())
    for part in ("student", "teacher"):
        torch.testing.assert_close(whole.state_dict()[part], second.state_dict()[part], rtol=0, atol=0)
