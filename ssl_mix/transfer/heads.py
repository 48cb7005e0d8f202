"""Layers that read the features of a network: new heads, and what transfer methods add."""

from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.passes import backbone, full_precision

Layer = TypeVar("Layer", bound=nn.Module)


def new_head(width: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer with fresh weights: the one way in which heads, projectors and the like are made.

    Weights (outputs, width) and bias are uniform in +-1 / sqrt(width), so of deviation 1 / sqrt(3 width), as
    ``nn.Linear`` draws them, from the default generator. Libraries differ: timm's EfficientNets and
    MobileNets draw from +-1 / sqrt(outputs), for 8 classes of 1280 features thirteen times as wide, and such
    a head begins with confident nonsense.

    Args:
        width: D, of the features.
        outputs: C for a classifier.
        bias: have one.
    """
    return nn.Linear(width, outputs, bias=bias)


def beside_head(net: nn.Module, layer: Layer) -> Layer:
    """A new layer that reads the features of ``net``, on the device and in the precision of its head."""
    return layer.to(backbone(net).head.weight)


def feature_width(net: nn.Module) -> int:
    """D, the width of what the head of ``net`` reads.

    Raises:
        ValueError: the network has no linear ``head`` over its ``features``.
    """
    return backbone(net).head.in_features


def add_projector(net: nn.Module, width: int) -> None:
    """Give ``net`` a linear ``projector`` of its features to ``width`` numbers, where keys are compared."""
    net.projector = beside_head(net, new_head(feature_width(net), width))


def projected(net: nn.Module, features: Tensor) -> Tensor:
    """Features (N, D) through the projector of ``net``, each row of length 1: (N, width) float32 or
    better."""
    found: Tensor = net.get_submodule("projector")(features)
    return F.normalize(found.to(torch.promote_types(found.dtype, torch.float32)), dim=1)


class Projectors(nn.Module):
    """The mean of what several projectors of two layers, drawn apart, make of features (N, D): (N, width).

    Args:
        features: D.
        width: of what comes out.
        count: of projectors.

    Source: two layers: Chen et al., "SimCLR" (ICML 2020); several: Nguyen, "Debiasing, Calibrating, and
    Improving Semi-supervised Learning Performance via Simple Ensemble Projector" (EPASS, WACV 2024), which
    takes 3.
    """

    def __init__(self, features: int, width: int, count: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(new_head(features, features), nn.ReLU(), new_head(features, width))
            for _ in range(count)
        )

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        return torch.stack([part(features) for part in self.parts]).mean(dim=0)


def add_projectors(net: nn.Module, width: int, count: int = 1) -> None:
    """Give ``net`` a ``projector`` that is the mean of ``count`` projectors of two layers."""
    net.projector = beside_head(net, Projectors(feature_width(net), width, count))


def encoded(net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and embeddings, which are what ``projected`` makes of the features, of images; in a
    student they move the running batch-norm statistics."""
    features = backbone(net).features(images)
    return full_precision(backbone(net).head(features)), projected(net, features)


@torch.no_grad()
def embedded(net: nn.Module, labeled: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Projected features (n, width) and labels (n,) of images that come chunk by chunk."""
    found = [(projected(net, backbone(net).features(images)), labels) for images, labels in labeled]
    keys, classes = (torch.cat(part) for part in zip(*found, strict=True))
    return keys, classes


def added_layer(net: nn.Module, name: str) -> nn.Module:
    """The layer that an algorithm gave to ``net`` by that name, or to the classifier on its body, see
    :class:`ssl_mix.transfer.head_net.OnBody`."""
    return (net if hasattr(net, name) else net.get_submodule("top")).get_submodule(name)


def add_mix_head(net: nn.Module) -> None:
    """Give ``net`` a second classifier, ``mix_head``, for mixed images alone."""
    net.mix_head = beside_head(net, new_head(feature_width(net), backbone(net).head.out_features))


def mixing_net(net: nn.Module) -> nn.Module:
    """What classifies mixed images: ``net`` with its ``mix_head``, if it has been given one."""
    return ThroughMixHead(net) if hasattr(net, "mix_head") else net


class ThroughMixHead(nn.Module):
    """A view of a network that answers with its ``mix_head``; it holds no weights of its own.

    Args:
        net: that has been given a ``mix_head``.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, C) of images (N, channels, H, W)."""
        logits: Tensor = self.net.get_submodule("mix_head")(backbone(self.net).features(images))
        return logits
