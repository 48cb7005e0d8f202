"""Networks for features that are computed once: the head that learns from them, and the head on its body
again."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.passes import backbone
from ssl_mix.transfer.heads import new_head
from ssl_mix.transfer.looks import Look, averaged_features, looks_in

SCALE = 16.0


def standardized(features: Tensor, center: Tensor) -> Tensor:
    """``16 (f - center) / |f - center|``, (N, D) float32: a head then learns at one rate from any network.

    Args:
        features: f, (N, D).
        center: mean of the features that are learned from, (D,).
    """
    return SCALE * F.normalize(features.float() - center, dim=1)


class HeadNet(nn.Module):
    """A classifier of features: images of one pixel (N, D, 1, 1), or (N, D).

    Args:
        width: D.
        num_classes: C.
    """

    def __init__(self, width: int, num_classes: int) -> None:
        super().__init__()
        self.head = new_head(width, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """(N, D) as they are."""
        return x.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, C)."""
        logits: Tensor = self.head(x.flatten(1))
        return logits


class OnBody(nn.Module):
    """A trained classifier of features on the body that makes them of images.

    Args:
        body: with ``features``, which the classifier reads once they are :func:`standardized`; its stages are
            those of the whole.
        top: a :class:`HeadNet`, with what an algorithm has added.
        center: of the features, (D,).
        looks: at an image, over which its features are averaged in evaluation mode; in training mode the
            image is seen as it is. They are part of the state, (V, 2).
    """

    center: Tensor

    def __init__(
        self, body: nn.Module, top: nn.Module, center: Tensor, looks: Sequence[Look] = (Look(),)
    ) -> None:
        super().__init__()
        self.body, self.top, self.looks = body, top, tuple(looks)
        self.register_buffer("center", center)
        self.register_buffer("looked", torch.tensor(self.looks))
        stages: tuple[str, ...] = getattr(body, "hidden_layers", ())
        if stages:
            self.hidden_layers = tuple(f"body.{stage}" for stage in stages)

    @property
    def head(self) -> nn.Linear:
        """The classifier."""
        return backbone(self.top).head

    def features(self, x: Tensor) -> Tensor:
        """What the classifier reads, (N, D) float32, of images (N, C, H, W)."""
        features = averaged_features(self.body, x, self.looks[:1] if self.training else self.looks)
        with torch.autocast(x.device.type, enabled=False):
            return standardized(features, self.center)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, C) of images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(x))
        return logits


def on_body_as(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """The network that a state is of: ``net``, or a classifier of features on it, see :class:`OnBody`, where
    the state holds the center of those.

    Args:
        net: with ``features`` and a linear ``head``; held, not copied.
        state: of it, or of the classifier on it.
    """
    if "center" not in state:
        return net
    width, classes = len(state["center"]), len(state["top.head.weight"])
    with torch.random.fork_rng(devices=[]):  # its first weights are drawn in vain
        top = HeadNet(width, classes)
    return OnBody(net, top, torch.zeros(width), looks_in(state["looked"]))
