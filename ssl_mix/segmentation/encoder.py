"""The grid of features that a classifier makes of an image before it pools them."""

from typing import Any

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.passes import evaluating


def dense_features(net: nn.Module, images: Tensor) -> Tensor:
    """Features of places in images (N, C, H, W): (N, D, h, w), of the patches of a transformer, without its
    class token, or the last feature map of a convolutional network.

    Args:
        net: a network of timm, or one that holds such.
        images: of the size that :func:`fit_to` was told.

    Raises:
        ValueError: the network has no such features.
    """
    body = _body(net)
    found: Tensor = body.forward_features(images)
    grid = getattr(getattr(body, "patch_embed", None), "grid_size", None)
    if found.ndim == 3 and grid is not None:
        height, width = grid
        prefix = getattr(body, "num_prefix_tokens", 0)
        if found.shape[1] == prefix + height * width:
            return found[:, prefix:].transpose(1, 2).reshape(len(found), -1, height, width)
    if found.ndim == 4 and found.shape[1] == body.num_features:
        return found
    raise UserError(
        f"segmentation reads the patches of a ViT, or a feature map (N, D, h, w), and {type(body).__name__} "
        f"makes features of shape {tuple(found.shape)}: take a ViT (`net=timm:vit_...`, timm:deit_...)"
    )


def fit_to(net: nn.Module, size: int) -> int:
    """Let ``net`` see square images of ``size`` pixels; the width D of its :func:`dense_features`.

    The position embedding of a ViT is interpolated by timm's own ``set_input_size``.

    Raises:
        ValueError: the size is no multiple of its patches, or the network has no dense features.
    """
    body = _body(net)
    patch = getattr(getattr(body, "patch_embed", None), "patch_size", (1, 1))[0]
    if size % patch:
        near = max(1, round(size / patch)) * patch
        raise UserError(
            f"image_size must be a multiple of the {patch} pixels of a patch of {type(body).__name__}, got "
            f"{size}: take {near}"
        )
    if hasattr(body, "set_input_size"):
        body.set_input_size(img_size=(size, size))
    channels = next(layer.in_channels for layer in body.modules() if isinstance(layer, nn.Conv2d))
    if channels != 3:
        raise UserError(f"images in color have 3 channels, and {type(body).__name__} takes {channels}")
    with evaluating(net), torch.no_grad():
        return dense_features(net, torch.zeros(1, 3, size, size)).shape[1]


def _body(net: nn.Module) -> Any:
    """The network of timm that ``net`` is or holds."""
    for module in net.modules():
        if callable(getattr(module, "forward_features", None)) and hasattr(module, "num_features"):
            return module
    raise UserError(
        "segmentation needs a network of timm, a ViT above all, and "
        f"{type(getattr(net, 'body', net)).__name__} is none: take `net=timm:vit_...`, or a run of one"
    )
