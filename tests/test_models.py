"""Networks: sizes known from elsewhere, the first-block switch, frozen statistics."""

import pytest
import torch
from torch import nn

from ssl_mix.errors import UserError
from ssl_mix.models import build_model
from ssl_mix.models.batch_norm import frozen_running_statistics


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


def test_frozen_statistics_normalise_by_the_batch_and_stay() -> None:
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
