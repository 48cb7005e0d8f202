"""Networks by name. Each returns logits from ``net(x)`` and has ``net.features(x)`` and ``net.head``.

``net.hidden_layers``, where there is one, names the stages that hidden-layer mixers work on, first to last.
"""

import re
from pathlib import Path

import torchvision
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_mix.errors import UserError, check_share, nearest
from ssl_mix.models.preact_resnet import PreActResNet18
from ssl_mix.models.pretrained import WITHOUT_DOWNLOAD, load_pretrained
from ssl_mix.models.small_cnn import SmallCNN
from ssl_mix.models.wide_resnet import FirstBlock, WideResNet

MODELS = {
    "small-cnn": "Three convolutions, for tiny images.",
    "wrn-28-K": "Wide residual network of any width K, for 32 x 32 images: wrn-28-2, wrn-28-8, wrn-28-10.",
    "preact-resnet-18": "PreActResNet-18, for 32 x 32 images.",
    "resnet-18": "ResNet-18 with the stem for 32 x 32 images.",
    "resnext-50": "ResNeXt-50 32x4d with the stem for 32 x 32 images.",
    "timm:NAME": "Any classifier of timm: timm:deit_small_patch16_224, timm:convnext_tiny, ...",
    "torchvision:NAME": "Any classifier of torchvision: torchvision:resnet50, ...",
}

__all__ = ["MODELS", "PreActResNet18", "SmallCNN", "WideResNet", "build_model", "default_network"]


def build_model(
    name: str,
    num_classes: int,
    *,
    channels: int = 3,
    image_size: int | None = None,
    first_block: FirstBlock | None = None,
    bn_momentum: float | None = None,
    drop_path: float = 0.0,
    pretrained: str = "none",
) -> nn.Module:
    """The network called ``name``.

    Args:
        name: see ``MODELS``.
        num_classes: logits per image.
        channels: of the images.
        image_size: side of the images in pixels, for networks that are built for one size.
        first_block: variant of wide residual networks, see :class:`WideResNet`.
        bn_momentum: share of the new batch in the running batch-norm statistics; default: the network's own.
        drop_path: stochastic depth, for networks of timm.
        pretrained: "none"; "default", the weights that timm or torchvision offers; or a file or a run to take
            them from, see :func:`ssl_mix.models.pretrained.load_pretrained`. Its notes are then those of
            ``loading_notes(net)``.

    Raises:
        ValueError: the name is unknown, the network has no use for an option, or the weights cannot be had or
            do not fit.
    """
    family, _, inner = name.partition(":")
    for option, given, families in (
        ("first_block", first_block not in (None, "activated"), ("wrn-28-K",)),
        ("drop_path", drop_path > 0, ("timm",)),
        ("pretrained 'default'", pretrained == "default", ("timm", "torchvision")),
    ):
        fits = family in families or ("wrn-28-K" in families and name.startswith("wrn-"))
        if given and not fits:
            remedy = (
                ""
                if pretrained != "default"
                else f". Name a network that has weights (--net torchvision:resnet18). {WITHOUT_DOWNLOAD}"
            )
            raise UserError(
                f"{option} is for networks of the kind {' or '.join(families)}, not for {name!r}{remedy}"
            )
    check_share("drop_path", drop_path)
    if family == "timm" and inner:
        from ssl_mix.models.from_timm import timm_network

        net: nn.Module = timm_network(
            inner,
            num_classes,
            channels=channels,
            image_size=image_size,
            drop_path=drop_path,
            pretrained=pretrained == "default",
        )
    elif family == "torchvision" and inner:
        from ssl_mix.models.from_torchvision import torchvision_network

        net = torchvision_network(
            inner,
            num_classes,
            channels=channels,
            image_size=image_size,
            pretrained=pretrained == "default",
        )
    else:
        net = _own_network(name, num_classes, channels, first_block or "activated")
    if pretrained not in ("none", "default"):
        load_pretrained(net, Path(pretrained))
    if bn_momentum is not None:
        check_share("bn_momentum", bn_momentum)
        for layer in net.modules():
            if isinstance(layer, _BatchNorm):
                layer.momentum = bn_momentum
    return net


def default_network(image_size: int) -> str:
    """The network for images of that side where none is named."""
    return "small-cnn" if image_size < 16 else "wrn-28-2"


def _own_network(name: str, num_classes: int, channels: int, first_block: FirstBlock) -> nn.Module:
    if name == "small-cnn":
        return SmallCNN(num_classes, channels=channels)
    if name == "preact-resnet-18":
        return PreActResNet18(num_classes, channels=channels)
    if name in ("resnet-18", "resnext-50"):
        from ssl_mix.models.from_torchvision import cifar_resnet

        original = {"resnet-18": "resnet18", "resnext-50": "resnext50_32x4d"}[name]
        return cifar_resnet(original, num_classes, channels)
    wide = re.fullmatch(r"wrn-28-([1-9]\d*)", name)
    if not wide:
        known = ", ".join(MODELS)
        theirs = [
            f"torchvision:{found}" for found in torchvision.models.list_models(module=torchvision.models)
        ]
        meant = f"torchvision:{name}" if f"torchvision:{name}" in theirs else name
        raise UserError(
            f"unknown network {name!r}: choose {known}.{nearest(meant, [*MODELS, 'wrn-28-2', *theirs])}"
        )
    return WideResNet(int(wide[1]), num_classes, channels=channels, first_block=first_block)
