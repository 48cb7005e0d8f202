"""A network that is asked but not changed: no gradient, no running statistics, no dropout, no hook left
behind."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers.hooks import find_layer, unwrapped
from ssl_mix.ranks import gathered


@contextmanager
def frozen(net: nn.Module) -> Iterator[None]:
    """Within the block the network is in evaluation mode and its parameters get no gradient, though its input
    does.

    Afterwards every module is in the mode, and every parameter asks for the gradient, that it was before.
    """
    training = [module for module in net.modules() if module.training]
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    try:
        net.eval().requires_grad_(False)
        yield
    finally:
        for module in training:
            module.training = True
        for parameter in trained:
            parameter.requires_grad_(True)


def network_input(net: nn.Module, images: Tensor) -> Tensor:
    """The images in the dtype of the network's parameters."""
    kinds = (parameter.dtype for parameter in net.parameters() if parameter.is_floating_point())
    return images.to(next(kinds, images.dtype))


class _Reached(Exception):
    """The layer has run: the rest of the forward pass is not needed."""


@torch.no_grad()
def feature_maps(net: nn.Module, name: str, images: Tensor) -> Tensor:
    """What the layer called ``name`` of the frozen network gives for ``images``: (N, C, h, w), without
    gradient.

    The network gets the images in its own dtype. Layers behind the one that is asked do not run.

    Raises:
        ValueError: there is no such layer, it does not run, or it gives something else than maps.
    """
    kept: list[object] = []

    def hook(_: nn.Module, __: object, output: object) -> None:
        kept.append(gathered(output) if isinstance(output, Tensor) else output)
        raise _Reached

    handle = find_layer(net, name).register_forward_hook(hook)
    try:
        with frozen(net):
            unwrapped(net)(network_input(net, images))
    except _Reached:
        pass
    finally:
        handle.remove()
    maps = kept[0] if kept else None
    if not isinstance(maps, Tensor) or maps.ndim != 4 or len(maps) != len(images):
        what = "nothing: it never ran" if not kept else getattr(maps, "shape", type(maps).__name__)
        raise UserError(
            f"layer {name!r} must give feature maps ({len(images)}, C, h, w), got {what}: choose a layer "
            "of convolutions"
        )
    return maps
