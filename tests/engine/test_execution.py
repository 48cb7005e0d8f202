"""Devices, precision, compilation, and the settings of a run."""

import platform
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import nn

from ssl_mix.cli.terminal import keep_freed_memory
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.execution import autocast, compiled, resolve_device
from ssl_mix.engine.optimizer import build_optimizer, learning_rate
from ssl_mix.errors import UserError
from ssl_mix.models import build_model

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "meta", "cuda:99", ""])
def test_wrong_devices_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="device"):
        resolve_device(name)


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for available, expected in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=available: found)
        assert resolve_device("auto").type == expected


@pytest.mark.parametrize(
    ("amp", "expected"), [("bf16", torch.bfloat16), ("off", torch.float32), ("auto", torch.float32)]
)
def test_precision_on_a_cpu(amp: Any, expected: torch.dtype) -> None:
    with autocast(TrainConfig(amp=amp), CPU):
        assert nn.Linear(3, 2)(torch.zeros(1, 3)).dtype == expected


def test_compiled_network_computes_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        torch, "compile", lambda net, original=torch.compile: original(net, backend="aot_eager")
    )
    net, x = build_model("small-cnn", 3), torch.randn(2, 3, 8, 8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    fast = compiled(net.train(), x, nullcontext())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert fast is not net
    torch.testing.assert_close(fast.eval()(x), net.eval()(x))


def test_where_compiling_fails_the_network_itself_is_used_with_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(net: nn.Module) -> nn.Module:
        raise RuntimeError("no compiler\nand more lines")

    monkeypatch.setattr(torch, "compile", refuse)
    net = build_model("small-cnn", 3)
    with pytest.warns(UserWarning, match=r"torch.compile does not work here \(no compiler\)"):
        assert compiled(net, torch.zeros(2, 3, 8, 8), nullcontext()) is net


def test_compiling_that_fails_in_the_backward_pass_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no kernel for the backward pass")

    monkeypatch.setattr(torch, "compile", lambda net: lambda x: net.head(Broken.apply(net.features(x))))
    net = build_model("small-cnn", 3).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.warns(UserWarning, match="no kernel for the backward pass"):
        assert compiled(net, torch.randn(4, 3, 8, 8), nullcontext()) is net
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_gpu_without_bfloat16_falls_back_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    with pytest.warns(UserWarning, match="training in float32"):
        autocast(TrainConfig(amp="bf16"), torch.device("cuda"))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone has these settings")
def test_freed_memory_is_kept() -> None:
    assert keep_freed_memory()


def test_weight_decay_spares_biases_and_norms() -> None:
    net = build_model("wrn-28-1", 10)
    decayed, spared = build_optimizer(net, TrainConfig(weight_decay=0.01)).param_groups
    assert decayed["weight_decay"] == 0.01 and spared["weight_decay"] == 0
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    assert {names[id(p)].rsplit(".", 1)[-1] for p in decayed["params"]} == {"weight"}
    assert all("norm" in names[id(p)] or names[id(p)].endswith("bias") for p in spared["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_one_optimizer_step_is_nesterov_sgd_by_hand() -> None:
    net = nn.Linear(2, 1, bias=False)
    config = TrainConfig(lr=0.5, momentum=0.9, weight_decay=0.1)
    optimizer = build_optimizer(net, config)
    weight, velocity = net.weight.detach().double().clone(), torch.zeros(1, 2, dtype=torch.float64)
    x = torch.tensor([[1.0, -2.0]])
    for _ in range(3):
        optimizer.zero_grad()
        net(x).sum().backward()
        optimizer.step()
        gradient = x.double() + 0.1 * weight
        velocity = 0.9 * velocity + gradient
        weight = weight - 0.5 * (gradient + 0.9 * velocity)
    torch.testing.assert_close(net.weight.detach().double(), weight, rtol=1e-6, atol=1e-6)


def test_learning_rate_follows_the_published_cosine() -> None:
    config = TrainConfig(steps=100, lr=0.03)
    assert learning_rate(config, 0) == 0.03
    assert learning_rate(config, 100) == pytest.approx(0.03 * 0.19509, rel=1e-4)  # cos(7 pi / 16)
    assert learning_rate(config, 50) == pytest.approx(0.03 * 0.77301, rel=1e-4)  # cos(7 pi / 32)
    assert learning_rate(TrainConfig(schedule="constant", lr=0.1, steps=100), 99) == 0.1


@pytest.mark.parametrize(
    ("options", "evaluated", "saved"),
    [
        ({"steps": 100}, list(range(10, 101, 10)), list(range(10, 101, 10))),
        ({"steps": 7}, list(range(1, 8)), list(range(1, 8))),
        ({"steps": 20_000}, list(range(2000, 20_001, 2000)), list(range(1000, 20_001, 1000))),
        ({"steps": 10, "eval_every": 4, "checkpoint_every": 3}, [4, 8, 10], [3, 6, 9, 10]),
    ],
    ids=str,
)
def test_when_a_run_is_evaluated_and_saved(
    options: dict[str, int], evaluated: list[int], saved: list[int]
) -> None:
    config = TrainConfig(**options)  # type: ignore[arg-type]
    steps = range(1, config.steps + 1)
    assert [step for step in steps if config.evaluates_at(step)] == evaluated
    assert [step for step in steps if config.saves_at(step)] == saved
    assert {*evaluated, *saved, *range(20, config.steps + 1, 20)} == {s for s in steps if config.logs_at(s)}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("lr", 0.0),
        ("lr", float("nan")),
        ("momentum", 1.5),
        ("ema_decay", -0.1),
        ("steps", 10.5),
        ("schedule", "linear"),
        ("amp", "fp8"),
        ("ema_buffers", "x"),
        ("weight_decay", -1e-4),
        ("threads", 0),
        ("log_every", 0),
        ("eval_every", 0),
        ("checkpoint_every", -1),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=name):
        TrainConfig(**{name: value})
