"""What of a trained network its answers depend on."""

import copy

import torch
from torch import Tensor, nn


def answering(net: nn.Module, images: Tensor) -> nn.Module:
    """A copy of a network without the heads that its training alone used: the parts, outside of a ``body``
    that a library has built, on none of whose weights its answer depends.

    Args:
        net: in evaluation mode.
        images: that it takes, (N, C, H, W).
    """
    weights = {name: weight.detach().requires_grad_() for name, weight in net.named_parameters()}
    answer = torch.func.functional_call(net, weights, (images,)).sum()
    slopes = torch.autograd.grad(answer, list(weights.values()), allow_unused=True)
    used = {name for name, slope in zip(weights, slopes, strict=True) if slope is not None}
    alone, passed = copy.deepcopy(net), ["body."]
    for name, _ in net.named_modules():
        place = f"{name}."
        own = {weight for weight in weights if weight.startswith(place)}
        if own and not own & used and not place.startswith(tuple(passed)):
            outer, _, last = name.rpartition(".")
            delattr(alone.get_submodule(outer), last)
            passed.append(place)
    return alone
