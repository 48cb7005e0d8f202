"""Networks by name."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torchvision
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_mix.errors import UserError, check_count, check_kinds, check_share, checking_kinds, nearest
from ssl_mix.models.from_packages import lite
from ssl_mix.models.from_timm import timm_network
from ssl_mix.models.from_torchvision import resnet18, resnext50, torchvision_network
from ssl_mix.models.preact_resnet import PreActResNet18
from ssl_mix.models.pretrained import WITHOUT_DOWNLOAD, load_pretrained
from ssl_mix.models.pvt import PVTTiny
from ssl_mix.models.small_cnn import SmallCNN
from ssl_mix.models.weight_files import check_there
from ssl_mix.models.wide_resnet import FirstBlock, WideResNet

Builder = Callable[..., nn.Module]

# A name may end in a blank, which the builder gets as its first argument: "wrn-28-2" is WideResNet(2, ...).
# The options that a kind of network takes are the keywords of its builder.
MODELS: dict[str, Builder] = {
    "small-cnn": SmallCNN,
    "wrn-28-K": WideResNet,
    "preact-resnet-18": PreActResNet18,
    "resnet-18": resnet18,
    "resnext-50": resnext50,
    "pvt-t": PVTTiny,
    "liteN": lite,
    "timm:NAME": timm_network,
    "torchvision:NAME": torchvision_network,
}
BLANKS: dict[str, tuple[str, type]] = {"K": (r"[1-9]\d*", int), "N": (r"[012]", str), "NAME": (r".+", str)}


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
    """The network called ``name``, with ``features`` and ``head``.

    Args:
        name: see ``MODELS``.
        num_classes: logits per image.
        channels: of the images.
        image_size: side of the images in pixels, for networks that are built for one size.
        first_block: variant of wide residual networks, see :class:`WideResNet`.
        bn_momentum: share of the new batch in the running batch-norm statistics; default: the network's own.
        drop_path: stochastic depth, for networks of timm and pvt-t.
        pretrained: "none"; "default", the weights that timm or torchvision offers; or a file or a run to take
            them from, see :func:`ssl_mix.models.pretrained.load_pretrained`. Its notes are then those of
            ``loading_notes(net)``.

    Raises:
        ValueError: the name is unknown, the network has no use for an option, or the weights cannot be had or
            do not fit.
    """
    check_kinds({"name": name, "pretrained": pretrained}, {"name": str, "pretrained": str})
    sizes = {"num_classes": num_classes, "channels": channels, "image_size": image_size}
    for word, value in sizes.items():
        if value is not None or word != "image_size":
            check_count(word, value)  # type: ignore[arg-type]
    check_share("drop_path", drop_path)
    check_share("bn_momentum", 0.0 if bn_momentum is None else bn_momentum)
    if pretrained not in ("none", "default"):
        check_there(Path(pretrained))
    kind, blanks = _find(name)
    options: dict[str, Any] = {}
    if first_block is not None:
        options["first_block"] = first_block
    if drop_path > 0:
        options["drop_path"] = drop_path
    if pretrained == "default":
        options["pretrained"] = True
    for option in options:
        _check_taken(option, kind, name)
    images = {"channels": channels, "image_size": image_size}
    options |= {option: value for option, value in images.items() if _takes(kind, option)}
    net = MODELS[kind](*blanks, num_classes, **options)
    if pretrained not in ("none", "default"):
        load_pretrained(net, Path(pretrained))
    if bn_momentum is not None:
        for layer in net.modules():
            if isinstance(layer, _BatchNorm):
                layer.momentum = bn_momentum
    return net


@checking_kinds
def is_network(name: str) -> bool:
    """Whether ``name`` is one of ``MODELS``, whether or not the library that it names has such a network."""
    return _match(name) is not None


@checking_kinds
def default_network(image_size: int) -> str:
    """The network for images of that side where none is named."""
    check_count("image_size", image_size)
    return "small-cnn" if image_size < 16 else "wrn-28-2"


def _match(name: str) -> tuple[str, tuple[Any, ...]] | None:
    """The entry of ``MODELS`` that a name belongs to, and what stands in its blank."""
    for kind in MODELS:
        blank = next((blank for blank in BLANKS if kind.endswith(blank)), "")
        pattern, convert = BLANKS.get(blank, ("", str))
        found = re.fullmatch(f"{re.escape(kind.removesuffix(blank))}({pattern})", name)
        if found:
            return kind, (convert(found[1]),) if blank else ()
    return None


def _find(name: str) -> tuple[str, tuple[Any, ...]]:
    found = _match(name)
    if found is None:
        listed = torchvision.models.list_models(module=torchvision.models)
        theirs = [f"torchvision:{known}" for known in listed]
        meant = f"torchvision:{name}" if name in listed else name
        raise UserError(
            f"unknown network {name!r}: choose {', '.join(MODELS)}."
            f"{nearest(meant, [*MODELS, 'wrn-28-2', *theirs])}"
        )
    return found


def _takes(kind: str, option: str) -> bool:
    return option in inspect.signature(MODELS[kind]).parameters


def _check_taken(option: str, kind: str, name: str) -> None:
    """Raise unless networks of that kind take the option."""
    if _takes(kind, option):
        return
    kinds = " or ".join(other for other in MODELS if _takes(other, option))
    words = "pretrained 'default'" if option == "pretrained" else option
    remedy = f". {WITHOUT_DOWNLOAD}" if option == "pretrained" else ": leave it out"
    raise UserError(f"{words} is for networks of the kind {kinds}, not for {name!r}{remedy}")
