"""Networks by name. Each returns logits from ``net(x)`` and has ``net.features(x)`` and ``net.head``."""

import re

from torch import nn

from ssl_mix.errors import UserError, nearest
from ssl_mix.models.small_cnn import SmallCNN
from ssl_mix.models.wide_resnet import FirstBlock, WideResNet

MODELS = {
    "small-cnn": SmallCNN,
    "wrn-28-2": WideResNet,
    "wrn-28-8": WideResNet,
}

__all__ = ["MODELS", "SmallCNN", "WideResNet", "build_model"]


def build_model(
    name: str,
    num_classes: int,
    *,
    channels: int = 3,
    first_block: FirstBlock = "activated",
    bn_momentum: float = 0.1,
) -> nn.Module:
    """The network called ``name``: "small-cnn", or "wrn-28-K" for any width K.

    Args:
        name: see ``MODELS``.
        num_classes: logits per picture.
        channels: of the pictures.
        first_block: variant of wide residual networks, see :class:`WideResNet`.
        bn_momentum: share of the new batch in the running batch-norm statistics.

    Raises:
        ValueError: the name is unknown.
    """
    if name == "small-cnn":
        return SmallCNN(num_classes, channels=channels, bn_momentum=bn_momentum)
    wide = re.fullmatch(r"wrn-28-([1-9]\d*)", name)
    if not wide:
        known = ", ".join(MODELS)
        raise UserError(
            f"unknown network {name!r}: choose {known}, or wrn-28-K for any width K.{nearest(name, MODELS)}"
        )
    return WideResNet(
        int(wide[1]), num_classes, channels=channels, first_block=first_block, bn_momentum=bn_momentum
    )
