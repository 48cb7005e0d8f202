"""DELTA holds the feature maps of each stage."""

import copy
from typing import Any

import pytest
import torch
import transfer_reference as reference
from numpy.typing import NDArray
from torch import Tensor
from transfer_nets import CLASSES
from transfer_scene import (
    EXACT,
    ConvScene,
    assert_gradients,
)

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.models import build_model
from ssl_mix.types import Batch, Nets, Samples, Step, Task


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"feature_weight": 0.3, "head_weight": 0.0},
        {"feature_weight": 0.0, "head_weight": 0.4, "view": "weak"},
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_delta(options: dict[str, Any], seed: int) -> None:
    scene = ConvScene("delta", seed=seed, **options)
    output = scene.run()
    assert output.loss.item() == pytest.approx(scene.expected(), rel=EXACT)
    assert_gradients(scene)
    assert all((scene.state[n] == b.numpy()).all() for n, b in scene.algorithm.named_buffers())
    assert not any(p.grad is not None for p in scene.algorithm.parameters())


def test_the_start_of_delta_stays_in_evaluation_mode() -> None:
    """Whatever mode the algorithm around it is put into: it normalizes by its running statistics, and keeps
    them."""
    scene = ConvScene("delta", feature_weight=1.0)
    scene.algorithm.train()
    assert scene.run().loss.item() == pytest.approx(scene.expected(), rel=EXACT)
    assert all((scene.state[n] == b.numpy()).all() for n, b in scene.algorithm.named_buffers())


def test_delta_does_not_train_the_network_it_started_from() -> None:
    scene = ConvScene("delta")
    kept = {n: v.clone() for n, v in scene.algorithm.state_dict().items()}
    trained = {id(p) for p in scene.student.parameters()}
    assert not any(p.requires_grad for p in scene.algorithm.parameters())
    assert not trained & {id(p) for p in scene.algorithm.parameters()}
    scene.run().loss.backward()
    with torch.no_grad():
        for p in scene.student.parameters():
            p -= 0.1 * p.grad
    assert all((kept[n] == v).all() for n, v in scene.algorithm.state_dict().items())


STAGES = {
    "small-cnn": ["blocks.0", "blocks.3", "blocks.6"],
    "resnet-18": [f"body.layer{stage}.1.conv2" for stage in (1, 2, 3, 4)],
    "torchvision:resnet50": [
        "body.layer1.2.conv3",
        "body.layer2.3.conv3",
        "body.layer3.5.conv3",
        "body.layer4.2.conv3",
    ],
    "preact-resnet-18": [f"stages.{stage}.1.conv2" for stage in range(4)],
}


def maps_of(net: Any, names: list[str], pictures: Tensor) -> list[NDArray[Any]]:
    """Outputs of the named convolutions."""
    found: dict[str, Tensor] = {}
    hooks = [
        net.get_submodule(n).register_forward_hook(lambda m, i, o, n=n: found.__setitem__(n, o))
        for n in names
    ]
    net(pictures)
    for hook in hooks:
        hook.remove()
    return [found[n].detach().double().numpy() for n in names]


@pytest.mark.parametrize("model", STAGES)
def test_delta_holds_the_last_convolution_of_each_stage(model: str) -> None:
    torch.manual_seed(0)
    net = build_model(model, CLASSES).double()
    start = copy.deepcopy(net).eval()
    pictures = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    algorithm: Any = ALGORITHMS["delta"](feature_weight=1.0, head_weight=0.0)
    net = algorithm.extend(net, Task(CLASSES, 0, (3, 16, 16))).train()
    labels = torch.tensor([0, 3, 1])
    batch = Batch(Samples({"strong": pictures}, torch.arange(3), labels), None)
    output = algorithm(Nets(net, start), batch, Step(0, 1, torch.Generator()))
    expected = reference.delta(*(maps_of(n, STAGES[model], pictures) for n in (net, start))) / 2
    assert (output.loss - output.metrics["loss/labeled"]).item() == pytest.approx(expected, rel=EXACT)
