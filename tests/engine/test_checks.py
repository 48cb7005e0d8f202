"""What a trainer refuses at once: by the name of the argument, with the remedy, and without a trace."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from ssl_mix import TrainConfig, Trainer
from ssl_mix.algorithms import FineTuning, FixMatch, SelfTuning, Supervised
from ssl_mix.datasets import DataSet, Split, choose_split, load_digits_data
from ssl_mix.engine.checks import check_network
from ssl_mix.errors import UserError
from ssl_mix.models import SmallCNN, adapt, build_model

CONFIG = TrainConfig(steps=2, batch_size=4)


@pytest.fixture(scope="module")
def digits() -> tuple[DataSet, Split]:
    data = load_digits_data()
    return data, choose_split(data.train.labels, 10, per_class=4, seed=0, classes=data.classes)


class Around(nn.Module):
    """A network without features and head, whose logits another function changes."""

    def __init__(self, net: nn.Module, change: Callable[[Tensor], Any] = lambda logits: logits) -> None:
        super().__init__()
        self.inner, self.change = net, change

    def forward(self, x: Tensor) -> Any:
        return self.change(self.inner(x))


class Other(SmallCNN):
    """Its forward pass does more than its head."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + 1


def digits_net(classes: int = 10, channels: int = 1) -> nn.Module:
    return SmallCNN(classes, channels=channels)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: digits_net(7), "net has 7 logits, the data have 10 classes: .*num_classes=10"),
        (lambda: digits_net(10, 3), "1 channels and 8x8 .*first convolution takes 3 .* channels=1"),
        (lambda: build_model("timm:vit_tiny_patch16_224", 10, channels=1), "8x8.*224.*image_size=8"),
        (
            lambda: Around(digits_net(), lambda logits: (logits, 0)),
            r"net must return logits \(N, 10\), Around returns a tuple: .*alone",
        ),
        (lambda: Around(digits_net(), lambda logits: {"logits": logits}), "returns a dict"),
        (lambda: Around(digits_net(), lambda logits: logits[0]), r"makes torch.float32 \(10,\) of 2 images"),
        (lambda: Around(digits_net(), lambda logits: logits.argmax(1)), "torch.int64"),
        (
            lambda: adapt(Around(digits_net(), lambda logits: logits.softmax(1)), "inner.head"),
            "not the output of 'inner.head'",
        ),
        (lambda: Other(10, channels=1), r"must be net.head\(net.features\(x\)\)"),
        (lambda: digits_net().double(), "fails on images"),
        (lambda: torchvision.models.googlenet(init_weights=False), "aux_logits=False"),
    ],
)
def test_networks_that_cannot_learn_the_data(
    make: Callable[[], nn.Module], words: str, digits: tuple[DataSet, Split]
) -> None:
    with pytest.raises(UserError, match=words):
        Trainer(Supervised(), make(), *digits, CONFIG)


@pytest.mark.parametrize("algorithm", [Supervised, FixMatch])
def test_a_head_that_is_not_known_cannot_learn_faster(algorithm: Any, digits: tuple[DataSet, Split]) -> None:
    config = TrainConfig(steps=2, batch_size=4, head_lr_factor=10)
    net = Around(digits_net())
    with pytest.raises(UserError, match=r"head_lr_factor 10 .*adapt\(net\)"):
        Trainer(algorithm(), net, *digits, config)
    trainer = Trainer(algorithm(), adapt(net), *digits, config)
    assert {group["factor"] for group in trainer.optimizer.param_groups} == {1.0, 10}
    head = {id(weight) for weight in net.inner.head.parameters()}  # type: ignore[operator, union-attr]
    fast = [group for group in trainer.optimizer.param_groups if group["factor"] == 10]
    assert {id(weight) for group in fast for weight in group["params"]} == head


@pytest.mark.parametrize("algorithm", [Supervised, FixMatch, SelfTuning, FineTuning])
def test_an_adapted_network_learns(algorithm: Any, digits: tuple[DataSet, Split]) -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )
    before = {name: value.clone() for name, value in net.state_dict().items()}
    trainer = Trainer(algorithm(), adapt(net), *digits, CONFIG)
    [*_, last] = trainer.fit()
    assert last["loss"] == last["loss"] and trainer.step == 2
    assert all(not torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"data": (torch.zeros(4, 1, 8, 8), torch.zeros(4))},
            "data must be a DataSet, got tuple: .*as_dataset makes one",
        ),
        ({"data": torch.zeros(4, 1, 8, 8)}, "data must be a DataSet, got Tensor"),
        (
            {"algorithm": Supervised},
            r"algorithm must be an Algorithm, got the class Supervised: call it, Supervised\(...\)",
        ),
        ({"net": "wrn-28-2"}, "net must be a Module, got str"),
        ({"split": [1, 2]}, "split must be a Split, got list: .*choose_split"),
        ({"config": {"steps": 3}}, "config must be a TrainConfig, got dict"),
    ],
)
def test_arguments_of_another_kind(
    changed: dict[str, Any], words: str, digits: tuple[DataSet, Split]
) -> None:
    given = {"algorithm": Supervised(), "net": digits_net(), "data": digits[0], "split": digits[1]}
    with pytest.raises(UserError, match=words):
        Trainer(**(given | changed))


class Restless(nn.Module):
    """Counts its calls, and draws, in evaluation mode too."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(3, 4)
        self.register_buffer("calls", torch.zeros(()))
        self.seen: list[bool] = []

    def train(self, mode: bool = True) -> "Restless":
        raise AssertionError("its own train is not to be called")

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("calls").add_(1)
        self.seen.append(self.training)
        return self.fc(self.net(x) + 0 * torch.rand(3))  # type: ignore[no-any-return]


@pytest.mark.parametrize("fails", [False, True])
def test_the_trial_leaves_no_trace(fails: bool) -> None:
    net = Restless()
    net.net[0].training = False
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    if fails:
        with pytest.raises(UserError, match="5 classes"):
            check_network(net, (3, 8, 8), 5, CONFIG)
    else:
        check_network(net, (3, 8, 8), 4, CONFIG)
    assert net.seen == [False] and [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(weight.grad is None for weight in net.parameters())


def test_weights_in_half_precision_are_tried_as_they_will_be_trained() -> None:
    net = digits_net().bfloat16()
    check_network(net, (1, 8, 8), 10, TrainConfig(amp="bf16"))
    with pytest.raises(UserError, match="fails on images"):
        check_network(net, (1, 8, 8), 10, TrainConfig(amp="off"))
