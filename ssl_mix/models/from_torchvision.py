"""Networks of torchvision, with their features and their head apart."""

from typing import Any

import torchvision
from torch import nn

from ssl_mix.errors import UserError, nearest
from ssl_mix.models.adapted import with_new_head
from ssl_mix.models.pretrained import WITHOUT_DOWNLOAD, with_source_head


def resnet18(num_classes: int, *, channels: int = 3) -> nn.Module:
    """ResNet-18 with the stem for 32 x 32 images: a 3 x 3 convolution, no pooling.

    Args:
        num_classes: C, logits per image.
        channels: of the images.
    """
    return _for_small_images(torchvision.models.resnet18(), num_classes, channels)


def resnext50(num_classes: int, *, channels: int = 3) -> nn.Module:
    """ResNeXt-50 32x4d with the stem for 32 x 32 images: a 3 x 3 convolution, no pooling.

    Args:
        num_classes: C, logits per image.
        channels: of the images.
    """
    return _for_small_images(torchvision.models.resnext50_32x4d(), num_classes, channels)


def _for_small_images(body: Any, num_classes: int, channels: int) -> nn.Module:
    body.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
    nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
    body.maxpool = nn.Identity()
    return with_new_head(body, num_classes)


def torchvision_network(
    name: str,
    num_classes: int,
    *,
    channels: int = 3,
    image_size: int | None = None,
    pretrained: bool = False,
) -> nn.Module:
    """Any classifier of torchvision: torchvision:resnet50, torchvision:vit_b_16, ...

    Its head is that of :func:`ssl_mix.transfer.heads.new_head`, which draws as torchvision does.

    Args:
        name: for example "resnet50".
        num_classes: C.
        channels: of the images, 3.
        image_size: side of the images, for networks that are built for one size; default: theirs.
        pretrained: fetch the default weights.

    Raises:
        ValueError: the name is unknown, images are not RGB, a size does not fit, the network does not end in
            one linear layer, or the weights cannot be fetched.
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
    if pretrained:
        return with_source_head(_fetched(name, options), num_classes)
    try:
        body = torchvision.models.get_model(name, weights=None, **options)
    except (AssertionError, ValueError, RuntimeError) as error:
        raise UserError(f"torchvision's {name!r} does not take {options}: {error}") from error
    return with_new_head(body, num_classes)


def torchvision_size(name: str) -> int:
    """Side of the images that the default weights of a network of torchvision were trained for; 224 where it
    does not tell."""
    try:
        transforms: Any = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        return int(transforms.crop_size[0])
    except (ValueError, AttributeError):
        return 224


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
