"""Networks of torchvision, with their features and their head apart."""

from typing import Any

import torchvision
from torch import Tensor, nn

from ssl_mix.errors import UserError, nearest
from ssl_mix.models.pretrained import WITHOUT_DOWNLOAD, keep_source_head


class TorchvisionNetwork(nn.Module):
    """A network of torchvision whose last linear layer has become ``head``.

    Args:
        body: the network; its last linear layer is replaced by nothing.
        num_classes: C, logits per image.

    Raises:
        ValueError: the network does not end in a linear layer, or has more than one classifier (GoogLeNet,
            Inception).
    """

    def __init__(self, body: nn.Module, num_classes: int) -> None:
        super().__init__()
        if getattr(body, "aux_logits", False):
            raise UserError(
                f"{type(body).__name__} has auxiliary classifiers besides its last one: take another network"
            )
        name, last = list(body.named_modules())[-1]
        if not isinstance(last, nn.Linear):
            raise UserError(
                f"{type(body).__name__} ends in {type(last).__name__}, not in a linear layer: take another "
                "network"
            )
        parent, _, attribute = name.rpartition(".")
        setattr(body.get_submodule(parent), attribute, nn.Identity())
        self.body, self.classifier_name = body, name
        self.head = nn.Linear(last.in_features, num_classes)
        stages = ("layer1", "layer2", "layer3", "layer4")
        if all(hasattr(body, stage) for stage in stages):
            self.hidden_layers = tuple(f"body.{stage}" for stage in stages)

    def features(self, x: Tensor) -> Tensor:
        """What the head reads, (N, D), of images (N, C, H, W)."""
        found: Tensor = self.body(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, C, H, W)."""
        logits: Tensor = self.head(self.features(x))
        return logits


def cifar_resnet(name: str, num_classes: int, channels: int) -> TorchvisionNetwork:
    """torchvision's ``resnet18`` or ``resnext50_32x4d`` with the stem for 32 x 32 images: a 3 x 3
    convolution, no pooling."""
    body: Any = getattr(torchvision.models, name)()
    body.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
    body.maxpool = nn.Identity()
    return TorchvisionNetwork(body, num_classes)


def torchvision_network(
    name: str, num_classes: int, *, channels: int, image_size: int | None, pretrained: bool
) -> TorchvisionNetwork:
    """Any classifier of torchvision, by its name there, with its default weights if ``pretrained``.

    Raises:
        ValueError: the name is unknown, images are not RGB, a size does not fit, or the weights cannot be
            fetched.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise UserError(f"torchvision has no network {name!r}.{nearest(name, known)}")
    if channels != 3:
        raise UserError(
            f"networks of torchvision take images with 3 channels, these have {channels}: "
            f"take 'timm:...', which takes any number"
        )
    options: dict[str, Any] = {"image_size": image_size} if name.startswith("vit_") and image_size else {}
    try:
        body = torchvision.models.get_model(name, weights=None, **options)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise UserError(f"torchvision's {name!r} does not take {options}: {error}") from error
    if pretrained:
        body = _fetched(name, options)
    source = list(body.modules())[-1] if pretrained else None
    net = TorchvisionNetwork(body, num_classes)
    if isinstance(source, nn.Linear):
        keep_source_head(net, source)
    return net


def _fetched(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        body: nn.Module = torchvision.models.get_model(name, weights="DEFAULT", **options)
    except (
        Exception
    ) as error:  # no network, a damaged download, no room for it, a size that the weights are not made for
        raise UserError(
            f"the weights of torchvision's {name!r} cannot be fetched: {str(error).rstrip('.')}. "
            f"{WITHOUT_DOWNLOAD}"
        ) from error
    return body
