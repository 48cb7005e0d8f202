"""Schedules against their closed forms, AdamW against its definition, and what is spared from weight
decay."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from timm.optim import param_groups_weight_decay
from torch import nn

from ssl_mix import MixingTerms, TrainConfig, Trainer
from ssl_mix.algorithms import Supervised
from ssl_mix.datasets import choose_split, load_digits_data
from ssl_mix.engine.optimizer import build_optimizer, learning_rate
from ssl_mix.models import build_model


def test_half_cosine_goes_from_lr_to_final_lr() -> None:
    config = TrainConfig(steps=100, lr=0.4, final_lr=0.1, schedule="half-cosine")
    rates = [learning_rate(config, step) for step in range(101)]
    expected = [0.1 + 0.3 * 0.5 * (1 + math.cos(math.pi * step / 100)) for step in range(101)]
    assert rates == pytest.approx(expected)
    assert (rates[0], rates[50], rates[100]) == pytest.approx((0.4, 0.25, 0.1))


def test_step_takes_a_tenth_at_half_and_at_three_quarters() -> None:
    config = TrainConfig(steps=200, lr=0.1, schedule="step")
    rates = [learning_rate(config, step) for step in range(200)]
    assert rates == pytest.approx([0.1] * 100 + [0.01] * 50 + [0.001] * 50)


def test_warm_up_rises_evenly_and_meets_the_schedule() -> None:
    config = TrainConfig(steps=100, lr=0.1, schedule="constant", warmup_steps=10)
    rates = [learning_rate(config, step) for step in range(12)]
    assert rates[0] == 1e-6
    assert torch.tensor(rates[:11], dtype=torch.float64).diff().std() < 1e-12
    assert rates[10] == rates[11] == 0.1


def test_adamw_is_adam_with_decoupled_decay() -> None:
    net = nn.Linear(2, 1, bias=False)
    config = TrainConfig(optimizer="adamw", lr=0.01, weight_decay=0.1)
    optimizer = build_optimizer(net, config)
    weight = net.weight.detach().double().clone()
    first, second = torch.zeros_like(weight), torch.zeros_like(weight)
    x = torch.tensor([[1.0, -2.0]])
    for step in range(1, 4):
        optimizer.zero_grad()
        net(x).square().sum().backward()
        gradient = 2 * (weight @ x.double().T) * x.double()
        optimizer.step()
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        moments = first / (1 - 0.9**step), second / (1 - 0.999**step)
        weight = weight * (1 - 0.01 * 0.1) - 0.01 * moments[0] / (moments[1].sqrt() + 1e-8)
    torch.testing.assert_close(net.weight.detach().double(), weight, rtol=1e-5, atol=1e-6)


def test_position_embeddings_and_class_tokens_of_timm_do_not_decay() -> None:
    net = nn.ModuleList(
        [build_model("timm:vit_tiny_patch16_224", 3, image_size=32)]
    )  # as the trainer hands it over
    decayed, spared = build_optimizer(net, TrainConfig()).param_groups
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    free = {names[id(parameter)] for parameter in spared["params"] if parameter.ndim > 1}
    assert free == {"0.body.pos_embed", "0.body.cls_token"}
    assert all("pos_embed" not in names[id(parameter)] for parameter in decayed["params"])


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "xcit_nano_12_p16_224"]
)
def test_what_timm_spares_from_weight_decay_is_spared(name: str) -> None:
    net = build_model(f"timm:{name}", 3)
    body: Any = net.body
    theirs, _ = param_groups_weight_decay(body, 0.1, no_weight_decay_list=body.no_weight_decay())
    _, spared = build_optimizer(net, TrainConfig()).param_groups
    assert {id(parameter) for parameter in theirs["params"]} <= {
        id(parameter) for parameter in spared["params"]
    }


def automix() -> Supervised:
    return Supervised(mixing=MixingTerms(mix="mixup", mixer="automix"))


def make(algorithm: Supervised) -> Trainer:
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    config = TrainConfig(
        steps=8, batch_size=8, optimizer="adamw", lr=1e-3, schedule="half-cosine", warmup_steps=3, log_every=4
    )
    torch.manual_seed(0)
    net = build_model("small-cnn", 10, channels=1)
    return Trainer(algorithm, net, data, split, config)


@pytest.mark.parametrize("algorithm", [Supervised, automix])
def test_adamw_goes_on_to_the_same_bits(algorithm: Callable[[], Supervised]) -> None:
    whole, first, second = make(algorithm()), make(algorithm()), make(algorithm())
    list(whole.fit())
    next(iter(first.fit()))
    second.load_state_dict(first.state_dict())
    list(second.fit())
    modules = (whole.student, second.student), (whole.algorithm, second.algorithm)
    for one, other in modules:
        for expected, found in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
            assert torch.equal(expected, found)
    assert second.step == whole.step == 8


def test_what_an_algorithm_adds_is_trained_from_weights_of_the_runs_seed() -> None:
    first, second = make(automix()), make(automix())
    before = {name: value.clone() for name, value in first.algorithm.state_dict().items()}
    assert before and all(
        torch.equal(value, second.algorithm.state_dict()[name]) for name, value in before.items()
    )
    list(first.fit())
    weights = dict(first.algorithm.named_parameters())
    assert all(not torch.equal(before[name], weight) for name, weight in weights.items())


def test_new_layers_learn_faster_by_a_factor_that_the_schedule_keeps() -> None:
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    config = TrainConfig(steps=8, batch_size=8, lr=0.02, head_lr_factor=10, warmup_steps=2)
    net = build_model("small-cnn", 10, channels=1)
    trainer = Trainer(automix(), net, data, split, config)
    new = {id(parameter) for parameter in (*net.head.parameters(), *trainer.algorithm.parameters())}  # type: ignore[union-attr]
    old = {id(parameter) for parameter in net.parameters()} - new
    for step, raw in zip(range(8), trainer.feed.batches(0), strict=False):
        trainer.train_step(raw)
        for ids, factor in ((new, 10), (old, 1)):
            found = [g for g in trainer.optimizer.param_groups if ids & {id(p) for p in g["params"]}]
            assert {id(p) for g in found for p in g["params"]} == ids
            assert all(g["lr"] == learning_rate(config, step) * factor for g in found)
            for group in found:
                assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])


def test_a_faster_head_moves_as_far_as_plain_sgd_says_and_the_body_as_before() -> None:
    one, ten = (make_sgd(factor) for factor in (1.0, 10.0))
    before = {name: value.clone() for name, value in one.student.state_dict().items()}
    for trainer in (one, ten):
        trainer.train_step(next(trainer.feed.batches(0)))
    for name, parameter in one.student.named_parameters():
        other = ten.student.get_parameter(name)
        moved, expected = other - before[name], (parameter - before[name]) * (10 if "head" in name else 1)
        torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-7)


def make_sgd(factor: float) -> Trainer:
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)
    config = TrainConfig(steps=8, batch_size=8, log_every=4, head_lr_factor=factor)
    torch.manual_seed(0)
    return Trainer(Supervised(), build_model("small-cnn", 10, channels=1), data, split, config)


def test_groups_with_factors_go_on_to_the_same_bits() -> None:
    whole, first, second = (make_sgd(10.0) for _ in range(3))
    list(whole.fit())
    next(iter(first.fit()))
    second.load_state_dict(first.state_dict())
    list(second.fit())
    for expected, found in zip(
        whole.student.state_dict().values(), second.student.state_dict().values(), strict=True
    ):
        assert torch.equal(expected, found)
