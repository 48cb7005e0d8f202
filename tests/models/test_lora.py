"""Low-rank adapters: which layers get them, that nothing else is trained, and the weights they end in."""

import importlib.util
import sys
from typing import Any

import pytest
import timm
import torch
from torch import nn

from ssl_mix.errors import UserError
from ssl_mix.models import adapt
from ssl_mix.models.lora import RANK, add_adapters, merged
from ssl_mix.transfer.head_net import HeadNet, OnBody

SHAPE = (3, 32, 32)
IMAGES = torch.rand(2, *SHAPE)
SMALL: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"depth": 2, "img_size": 32},
    "beit_base_patch16_224": {"depth": 2, "embed_dim": 48, "num_heads": 3, "img_size": 32},
}
needs_peft = pytest.mark.skipif(
    importlib.util.find_spec("peft") is None, reason="needs peft: pip install 'ssl-mix[lora]'"
)


def net_of(name: str) -> Any:
    torch.manual_seed(0)
    return adapt(timm.create_model(name, num_classes=5, **SMALL.get(name, {}))).eval()


@needs_peft
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "vit_tiny_patch16_224"])
def test_adapters_and_the_head_alone_learn_and_nothing_changes_at_first(name: str) -> None:
    net = net_of(name)
    before, names = net(IMAGES), {n for n, _ in net.named_parameters()}
    add_adapters(net, SHAPE, seed=0)
    assert torch.equal(net(IMAGES), before)
    trained = {n for n, p in net.named_parameters() if p.requires_grad}
    head = {f"body.{net.head_name}.{kind}" for kind in ("weight", "bias")}
    assert trained - head == {n for n, _ in net.named_parameters() if ".lora_" in n} != set()
    kept = {n.replace(".base_layer.", ".") for n, _ in net.named_parameters() if ".lora_" not in n}
    assert kept == names


@needs_peft
@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "vit_tiny_patch16_224", "beit_base_patch16_224"])
def test_every_adapter_gets_a_gradient_and_ends_in_the_weights(name: str) -> None:
    """BEiT reads the weights of some of its layers itself: those get none."""
    net, plain = net_of(name), net_of(name)
    add_adapters(net, SHAPE, seed=0)
    for _, parameter in net.named_parameters():
        if parameter.requires_grad:
            nn.init.normal_(parameter, std=0.05)
    found = net(IMAGES)
    found.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters() if p.requires_grad)
    assert ("qkv" in str([n for n, _ in net.named_parameters() if ".lora_A" in n])) == (name[:3] == "vit")
    assert not torch.allclose(plain(IMAGES), found, atol=1e-3)
    plain.load_state_dict(merged(net.state_dict()))
    torch.testing.assert_close(plain(IMAGES), found, rtol=1e-3, atol=1e-4)


@needs_peft
def test_the_change_of_a_weight_is_the_one_of_peft() -> None:
    net = net_of("resnet18")
    add_adapters(net, SHAPE, seed=0)
    layer = net.body.layer1[0].conv1
    nn.init.normal_(layer.lora_B["default"].weight)
    ours = merged(net.state_dict())["body.layer1.0.conv1.weight"]
    expected = layer.base_layer.weight + layer.get_delta_weight("default")
    torch.testing.assert_close(ours, expected.detach())


@needs_peft
def test_of_a_classifier_of_features_the_body_is_adapted_without_the_head_it_had() -> None:
    body = net_of("resnet18")
    net = OnBody(body, HeadNet(512, 3), torch.rand(512)).eval()
    before = net(IMAGES)
    add_adapters(net, SHAPE, seed=0)
    assert torch.equal(net(IMAGES), before) and type(body.head) is nn.Linear
    trained = {name for name, p in net.named_parameters() if p.requires_grad and ".lora_" not in name}
    assert trained == {"top.head.weight", "top.head.bias"}


@needs_peft
def test_grouped_and_dilated_convolutions_are_left_alone() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.grouped = nn.Conv2d(3, 6, 3, groups=3)
            self.dilated = nn.Conv2d(6, 6, 3, dilation=2)
            self.plain = nn.Conv2d(6, 7, 3)
            self.unused = nn.Conv2d(6, 7, 3)
            self.head = nn.Linear(7, 2)

        def features(self, x: torch.Tensor) -> torch.Tensor:
            return self.plain(self.dilated(self.grouped(x))).mean(dim=(2, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.features(x))

    net = Net()
    add_adapters(net, SHAPE, seed=0)
    assert {n for n, _ in net.named_parameters() if "lora" in n} == {
        "plain.lora_A.default.weight",
        "plain.lora_B.default.weight",
    }
    assert net.plain.lora_A["default"].weight.shape == (RANK, 6, 3, 3)


@needs_peft
def test_draws_are_those_of_the_seed_and_leave_the_default_stream_alone() -> None:
    first, second, other = net_of("resnet18"), net_of("resnet18"), net_of("resnet18")
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    for net, seed in ((first, 0), (second, 0), (other, 1)):
        add_adapters(net, SHAPE, seed=seed)
    assert torch.equal(torch.rand(1), expected)
    name = "body.conv1.lora_A.default.weight"
    ours, same, theirs = (net.state_dict()[name] for net in (first, second, other))
    assert torch.equal(ours, same) and not torch.equal(ours, theirs)


def test_states_without_adapters_are_returned_as_they_are() -> None:
    state = net_of("resnet18").state_dict() | {"body.base_layer.weight": torch.zeros(1)}  # as in DLA
    found = merged(state)
    assert found.keys() == state.keys() and all(found[n] is state[n] for n in state)


def test_without_peft_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(UserError, match=r"needs the package peft: pip install 'ssl-mix\[lora\]'"):
        add_adapters(net_of("resnet18"), SHAPE, seed=0)
