"""What is known of the weights of a network that is handed over: whether they are trained, and on what."""

from typing import Any, NamedTuple

from torch import nn

from ssl_mix.models.pretrained import loading_notes, source_classifier

IMAGENET_MEAN, IMAGENET_STD, IMAGENET_SIZE = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 224


class TrainedOn(NamedTuple):
    """Images that weights were trained on.

    Attributes:
        mean: of each channel, that normalization took away.
        std: deviation, that it divided by.
        size: side in pixels.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: int


def is_trained(net: nn.Module) -> bool | None:
    """Whether the weights of a network have been trained; None where nothing tells.

    They have where they were loaded here, or where the scales of a normalization layer differ from each
    other: libraries begin with equal ones.
    """
    if source_classifier(net) is not None or loading_notes(net):
        return True
    scales = [
        scale.detach()
        for module in net.modules()
        if "norm" in type(module).__name__.lower()
        and isinstance(scale := getattr(module, "weight", None), nn.Parameter)
        and scale.numel() > 1
    ]
    return any(bool((scale != scale.flatten()[0]).any()) for scale in scales) if scales else None


def images_behind(net: nn.Module) -> TrainedOn | None:
    """The images that the trained weights of a network of timm or torchvision are for; None for others."""
    body: Any = getattr(net, "body", net)
    settings = getattr(body, "pretrained_cfg", None)
    if isinstance(settings, dict) and settings.get("input_size"):
        return TrainedOn(tuple(settings["mean"]), tuple(settings["std"]), settings["input_size"][1])
    if type(body).__module__.startswith("torchvision.models."):
        return TrainedOn(IMAGENET_MEAN, IMAGENET_STD, IMAGENET_SIZE)
    return None
