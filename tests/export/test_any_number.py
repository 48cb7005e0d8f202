"""Exported networks at other numbers of images than they were written with: those built here, and those that
average features over several looks at an image."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ssl_mix.export.deployed import About, Deployed
from ssl_mix.export.exported import Exported
from ssl_mix.export.graphs import GRAPHS, PARTS
from ssl_mix.models import build_model
from ssl_mix.models.small_cnn import SmallCNN
from ssl_mix.transfer.head_net import HeadNet, OnBody
from ssl_mix.transfer.looks import Look

LOOKS = (Look(), Look(1.375, mirrored=True))  # 10 pixels become 13.75, rounded down


@pytest.mark.parametrize("name", ["small-cnn", "wrn-28-1", "preact-resnet-18", "pvt-t"])
def test_networks_built_here_are_traced_for_any_number_of_images(name: str, tmp_path: Path) -> None:
    known = About(("dark", "light"), 3, 32, "cut", 32, (0.5,) * 3, (0.25,) * 3, 1.0, "fine-tuning", 1)
    net, path = Deployed(build_model(name, 2, image_size=32), known), tmp_path / "net.ts"
    GRAPHS["torchscript"].write(net, known, path)
    images = torch.randint(256, (3, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(Exported(path).net(images).exp(), net(images), atol=1e-5, rtol=0)


@pytest.mark.parametrize("to", list(GRAPHS))
def test_a_graph_looks_as_often_as_the_network_at_any_number_of_images(to: str, tmp_path: Path) -> None:
    for part in PARTS if to == "onnx" else ():
        pytest.importorskip(part, reason="ONNX files need pip install 'ssl-mix[onnx]'")
    known = About(("dark", "light"), 1, 12, "cut", 10, (0.5,), (0.25,), 20.0, "fine-tuning", 1)
    torch.manual_seed(0)
    looking = OnBody(SmallCNN(2, channels=1), HeadNet(64, 2), torch.zeros(64), LOOKS)
    nn.init.normal_(looking.head.weight)
    net, path = Deployed(looking, known), tmp_path / f"net{GRAPHS[to].suffix}"
    GRAPHS[to].write(net, known, path)
    read, images = Exported(path), torch.randint(256, (5, 1, 12, 12), dtype=torch.uint8)
    with torch.inference_mode():
        wanted = net(images)
        for count in (1, 3, 5):
            torch.testing.assert_close(read.net(images[:count]).exp(), wanted[:count], atol=1e-5, rtol=0)
        looking.looks = LOOKS[:1]
        assert (net(images) - wanted).abs().max() > 1e-3
