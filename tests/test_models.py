"""Networks: sizes known from elsewhere, the first-block switch, frozen statistics."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torchvision
from torch import nn

from ssl_mix.errors import UserError
from ssl_mix.models import MODELS, adapt, build_model, is_network
from ssl_mix.passes import frozen_running_statistics


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def wide_resnet_parameters(width: int, classes: int) -> int:
    """By hand: convolutions without bias, two numbers per channel for batch norm, a linear head."""
    widths = [16, 16 * width, 32 * width, 64 * width]
    total = 3 * 16 * 9 + 2 * widths[-1] + widths[-1] * classes + classes
    for inputs, outputs in zip(widths, widths[1:], strict=False):
        total += 2 * inputs + 9 * inputs * outputs + 2 * outputs + 9 * outputs**2 + inputs * outputs
        total += 3 * (2 * outputs + 9 * outputs**2 + 2 * outputs + 9 * outputs**2)
    return total


@pytest.mark.parametrize(("width", "classes"), [(2, 10), (8, 100)])
def test_wide_resnet_has_the_known_number_of_parameters(width: int, classes: int) -> None:
    net = build_model(f"wrn-28-{width}", classes)
    assert parameters(net) == wide_resnet_parameters(width, classes)


def test_wrn_28_2_is_as_large_as_published() -> None:
    assert parameters(build_model("wrn-28-2", 10)) == 1_467_610  # FixMatch-pytorch prints the same


def test_raw_first_blocks_drop_only_the_norms_that_nothing_reads() -> None:
    activated, raw = (build_model("wrn-28-2", 10, first_block=kind) for kind in ("activated", "raw"))  # type: ignore[arg-type]
    assert parameters(activated) - parameters(raw) == 2 * (32 + 64)


def test_first_block_changes_what_the_network_computes() -> None:
    activated, raw = (build_model("wrn-28-1", 3, first_block=kind) for kind in ("activated", "raw"))  # type: ignore[arg-type]
    raw.load_state_dict(activated.state_dict(), strict=False)
    x = torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert (activated(x) - raw(x)).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["small-cnn", "wrn-28-1"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 32, 48])
def test_logits_are_the_head_of_the_features(name: str, channels: int, size: int) -> None:
    net = build_model(name, 7, channels=channels).eval()
    x = torch.randn(2, channels, size, size)
    features = net.features(x)  # type: ignore[operator]
    assert features.ndim == 2
    torch.testing.assert_close(net(x), net.head(features))  # type: ignore[operator]


@pytest.mark.parametrize("name", ["small-cnn", "wrn-28-1"])
def test_batch_norm_momentum_reaches_every_layer(name: str) -> None:
    layers = [m for m in build_model(name, 3, bn_momentum=0.03).modules() if isinstance(m, nn.BatchNorm2d)]
    assert layers and all(layer.momentum == 0.03 for layer in layers)


@pytest.mark.parametrize("name", ["resnet", "wrn-28-0", "wrn-28-", "wrn-16-2"])
def test_unknown_networks_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="unknown network.*small-cnn"):
        build_model(name, 10)


def test_frozen_statistics_normalize_by_the_batch_and_stay() -> None:
    net = build_model("small-cnn", 3).train()
    x = torch.randn(8, 3, 8, 8)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with frozen_running_statistics(net):
        frozen = net(x)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(frozen, net(x))  # the same batch statistics
    changed = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert changed and all("running" in name or "tracked" in name for name in changed)


def test_frozen_statistics_are_restored_after_an_error() -> None:
    net = build_model("small-cnn", 3)
    with pytest.raises(RuntimeError), frozen_running_statistics(net):
        raise RuntimeError
    assert all(m.track_running_stats for m in net.modules() if isinstance(m, nn.BatchNorm2d))


FAMILIES = [
    ("small-cnn", 16),
    ("wrn-28-1", 32),
    ("preact-resnet-18", 32),
    ("resnet-18", 32),
    ("timm:resnet18", 32),
    ("timm:vit_tiny_patch16_224", 32),
    ("timm:convnext_atto", 32),
    ("timm:mobilenetv3_small_050", 32),
    ("torchvision:resnet18", 32),
    ("torchvision:vgg11", 32),
]


@pytest.mark.parametrize(("name", "size"), FAMILIES)
def test_every_family_keeps_features_and_head_apart(name: str, size: int) -> None:
    torch.manual_seed(0)
    net = build_model(name, 5, image_size=size).eval()
    images = torch.randn(2, 3, size, size)
    with torch.no_grad():
        features = net.features(images)  # type: ignore[operator]
        assert features.ndim == 2
        torch.testing.assert_close(net.head(features), net(images))  # type: ignore[operator]
    assert net(images).shape == (2, 5)


@pytest.mark.parametrize(
    ("name", "count"),
    [  # as published for CIFAR-10, and for ImageNet-1k by timm and torchvision
        ("preact-resnet-18", 11_172_170),
        ("resnet-18", 11_173_962),
        ("resnext-50", 23_000_394),
        ("wrn-28-10", 36_478_000),
    ],
)
def test_networks_for_small_pictures_have_the_known_number_of_parameters(name: str, count: int) -> None:
    with torch.device("meta"):
        net = build_model(name, 10)
    assert parameters(net) == pytest.approx(count, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("timm:deit_small_patch16_224", 22.05),
        ("timm:swin_tiny_patch4_window7_224", 28.29),
        ("timm:xcit_small_12_p16_224", 26.25),
        ("timm:convnext_tiny", 28.59),
        ("torchvision:resnet50", 25.56),
    ],
)
def test_networks_of_the_papers_are_the_ones_they_name(name: str, millions: float) -> None:
    assert parameters(build_model(name, 1000)) / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize("name", ["small-cnn", "wrn-28-1", "preact-resnet-18", "resnet-18", "timm:resnet18"])
def test_hidden_layers_run_in_their_order(name: str) -> None:
    net = build_model(name, 3).eval()
    seen: list[str] = []
    for layer in net.hidden_layers:  # type: ignore[union-attr]
        net.get_submodule(layer).register_forward_hook(lambda *_, layer=layer: seen.append(layer))
    net(torch.randn(1, 3, 32, 32))
    assert tuple(seen) == net.hidden_layers


@pytest.mark.parametrize("name", ["small-cnn", "preact-resnet-18", "timm:resnet18", "wrn-28-1"])
def test_gray_pictures(name: str) -> None:
    assert build_model(name, 3, channels=1)(torch.randn(2, 1, 32, 32)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("timm:convnxt_tiny", {}, "convnext_tiny"),
        ("torchvision:resnet5", {}, "resnet50"),
        ("torchvision:squeezenet1_0", {}, "linear layer"),
        ("torchvision:resnet18", {"channels": 1}, "3 channels"),
        ("timm:deit_tiny_distilled_patch16_224", {}, "distilled"),
        ("torchvision:vit_b_16", {"image_size": 30}, "does not take"),
        ("timm:vgg11", {"drop_path": 0.1}, "does not take"),
        (
            "small-cnn",
            {"first_block": "raw"},
            "first_block is for networks of the kind wrn-28-K, not for 'small-cnn'",
        ),
        (
            "wrn-28-2",
            {"drop_path": 0.1},
            "drop_path is for networks of the kind pvt-t or liteN or timm:NAME, not",
        ),
        ("resnet-18", {"pretrained": "default"}, "of the kind liteN or timm:NAME or torchvision:NAME, not"),
        ("timm:resnet18", {"drop_path": 1.5}, "drop_path"),
        ("preact-resnet", {}, "preact-resnet-18"),
    ],
)
def test_networks_that_do_not_fit_are_refused(name: str, options: Any, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        build_model(name, 4, **options)


def test_every_kind_of_network_tells_what_it_is() -> None:
    for name, build in MODELS.items():
        assert callable(build) and len((build.__doc__ or "").partition("\n")[0]) > 20, name


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("wrn-28-2", True),
        ("small-cnn", True),
        ("timm:whatever", True),
        ("wrn-28-K", False),
        ("wrn-28-02", False),
        ("runs/small-cnn", False),
        ("timm:", False),
    ],
)
def test_names_of_networks_are_known(name: str, known: bool) -> None:
    assert is_network(name) is known


def test_networks_with_auxiliary_classifiers_are_refused() -> None:
    with torch.device("meta"), pytest.raises(UserError, match="GoogLeNet has auxiliary classifiers"):
        adapt(torchvision.models.googlenet(init_weights=False))


@pytest.mark.parametrize("name", ["timm:resnet18", "torchvision:resnet18"])
def test_weights_that_cannot_be_fetched_are_a_clear_mistake(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(original: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        def make(
            *given: Any, pretrained: bool = False, weights: str | None = None, **options: Any
        ) -> nn.Module:
            if pretrained or weights:
                raise OSError("no route to host")
            return original(*given, **options)

        return make

    monkeypatch.setattr("ssl_mix.models.from_timm.check_hub", lambda _: None)
    monkeypatch.setattr("timm.create_model", offline(timm.create_model))
    monkeypatch.setattr("torchvision.models.get_model", offline(torchvision.models.get_model))
    words = "cannot be fetched: no route to host.*`pretrained=FILE`.*`pretrained=none`"
    with pytest.raises(UserError, match=words):
        build_model(name, 4, pretrained="default")


def test_a_hub_that_cannot_be_found_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nothing listens at this port, and none of its library's retries are made."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("timm.create_model", lambda *_, **__: pytest.fail("timm would try"))
    with pytest.raises(UserError, match=r"cannot be fetched: http://127.0.0.1:9 cannot be reached"):
        build_model("timm:resnet18", 4, pretrained="default")


def test_drop_path_leaves_out_branches_in_training_only() -> None:
    torch.manual_seed(0)
    net = build_model("timm:vit_tiny_patch16_224", 3, image_size=32, drop_path=0.5)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(net.train()(images), net(images))
        assert torch.equal(net.eval()(images), net(images))
