"""Fresh heads are drawn alike, whatever the library of the network would have drawn."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from ssl_mix.algorithms import BiTuning, FineTuning, ReMixMatch
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.models import adapt, build_model
from ssl_mix.passes import backbone
from ssl_mix.runs.given import Given
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.transfer.heads import new_head
from ssl_mix.types import Task

CLASSES = 8
NETWORKS = (
    "small-cnn",
    "preact-resnet-18",
    "resnet-18",
    "resnext-50",
    "timm:tf_efficientnet_lite0",
    "timm:mobilenetv3_small_050",
    "timm:resnet18",
    "timm:deit_tiny_patch16_224",
    "timm:convnext_atto",
    "timm:swin_tiny_patch4_window7_224",
    "timm:test_efficientnet_gn",
    "timm:test_byobnet",
    "timm:test_nfnet",
    "timm:mnasnet_050",
    "torchvision:resnet18",
    "torchvision:mobilenet_v3_small",
    "torchvision:vit_b_16",
    "torchvision:swin_t",
    "torchvision:convnext_tiny",
    "torchvision:densenet121",
    "torchvision:efficientnet_b0",
    "torchvision:mnasnet0_5",
    "torchvision:shufflenet_v2_x0_5",
    "torchvision:regnet_x_400mf",
)


def assert_fresh(head: nn.Linear) -> None:
    """Uniform in +-1 / sqrt(D): by its deviation, within five of its standard errors, and its ends."""
    bound = 1 / math.sqrt(head.in_features)
    assert head.weight.abs().max() <= bound and head.bias.abs().max() <= bound
    assert head.weight.abs().max() > 0.95 * bound and head.bias.any()
    error = 0.9 / math.sqrt(head.weight.numel()) / 2  # of a uniform's deviation, in deviations
    assert head.weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=5 * error)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_begins_with_such_a_head(name: str) -> None:
    torch.manual_seed(0)
    assert_fresh(backbone(build_model(name, CLASSES)).head)


def test_wide_residual_networks_begin_as_published() -> None:
    torch.manual_seed(0)
    head = backbone(build_model("wrn-28-2", CLASSES)).head
    assert head.weight.std().item() == pytest.approx(math.sqrt(2 / (128 + CLASSES)), rel=0.1)
    assert not head.bias.any()


@pytest.mark.parametrize("name", ["wrn-28-1", "timm:tf_efficientnet_lite0", "torchvision:resnet18"])
def test_so_does_a_network_with_weights_of_other_classes(name: str, tmp_path: Path) -> None:
    torch.save(build_model(name, 5).state_dict(), tmp_path / "weights.pth")
    options = NetOptions(net=name, pretrained=str(tmp_path / "weights.pth"))
    assert_fresh(backbone(options.build((3, 32, 32), CLASSES, 0)).head)


@pytest.mark.parametrize("name", ["timm:tf_efficientnet_lite0", "torchvision:mobilenet_v3_small"])
@pytest.mark.parametrize("classes", [CLASSES, 1000])
def test_so_does_one_with_default_weights_unless_it_keeps_theirs(
    name: str, classes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make(name: str, **options: object) -> nn.Module:
        options.pop("in_chans", None)
        return torchvision.models.get_model_builder(name)() if "v3" in name else original(name)

    original = timm.create_model
    monkeypatch.setattr("ssl_mix.models.from_timm.check_hub", lambda _: None)
    monkeypatch.setattr("timm.create_model", make)
    monkeypatch.setattr("torchvision.models.get_model", make)
    net = build_model(name, classes, pretrained="default")
    source: Tensor = net.source_head.weight  # type: ignore[union-attr, assignment]
    if classes == CLASSES:
        assert_fresh(backbone(net).head)
    else:
        assert torch.equal(backbone(net).head.weight, source)
    assert source.shape[0] == 1000 and source is not backbone(net).head.weight


def test_so_do_heads_that_algorithms_add() -> None:
    torch.manual_seed(0)
    task = Task(CLASSES, 40, (3, 32, 32))
    net = FineTuning(mixing=MixingTerms(mix="dm", mix_head="own")).extend(
        build_model("wrn-28-2", CLASSES), task
    )
    assert_fresh(net.get_submodule("mix_head"))  # type: ignore[arg-type]
    net = BiTuning().extend(build_model("wrn-28-2", CLASSES), task)
    assert_fresh(net.get_submodule("projector"))  # type: ignore[arg-type]
    algorithm = ReMixMatch()
    algorithm.extend(build_model("wrn-28-2", CLASSES), task)
    assert_fresh(algorithm.rotation_head)


def test_so_does_a_head_that_is_put_into_an_adapted_network() -> None:
    net = backbone(adapt(nn.Sequential(nn.Conv2d(3, 200, 3), nn.Flatten(), nn.Linear(200, 4))))
    head = new_head(net.head.in_features, CLASSES)
    assert_fresh(head)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torchvision.models.mobilenet_v3_small(num_classes=5),
        lambda: torchvision.models.googlenet(num_classes=5, aux_logits=False, init_weights=False),
        lambda: timm.create_model("tf_efficientnet_lite0", num_classes=5),
        lambda: nn.Sequential(nn.Conv2d(3, 200, 3), nn.Flatten(), nn.Linear(200, 5)),
    ],
)
def test_so_does_a_network_that_is_handed_over_for_other_classes(make: Callable[[], nn.Module]) -> None:
    before = torch.get_rng_state()
    net = make()
    torch.set_rng_state(before)
    heads = [backbone(found).head for seed in (0, 0, 1) if (found := Given(net=net).network(CLASSES, seed))]
    assert_fresh(heads[0])
    assert torch.equal(heads[0].weight, heads[1].weight) and not torch.equal(heads[0].weight, heads[2].weight)
    assert torch.equal(torch.get_rng_state(), before)  # drawn from the stream of the seed
