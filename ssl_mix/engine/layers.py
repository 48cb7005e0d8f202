"""Which layer of a network a parameter belongs to, for learning rates that fall layer by layer."""

from typing import Any

from torch import nn

from ssl_mix.errors import UserError


def layer_factors(net: nn.Module, decay: float) -> dict[int, float]:
    """Factor ``decay ** (last - l)`` of the learning rate of each parameter in layer l, by its ``id``.

    Layers of a network of timm are those of its ``group_matcher``, as in timm's
    ``param_groups_layer_decay``. Any other network has its stages (``hidden_layers``), each of which
    reaches to the beginning of the next: what comes before the first is layer 0, the head is the last,
    with what an algorithm has added behind it.
    Parameters that are not the network's are missing.

    Args:
        net: holds the network, maybe beside others.
        decay: in (0, 1].

    Raises:
        ValueError: nobody knows the layers of the network.

    Source: Clark et al., "ELECTRA" (ICLR 2020); for images, Bao et al., "BEiT" (ICLR 2022).
    """
    for knows, numbers_of in (("group_matcher", _of_timm), ("hidden_layers", _of_stages)):
        part = next((module for module in net.modules() if getattr(module, knows, None)), None)
        if part is not None:
            numbers = numbers_of(part)
            last = max(numbers.values())
            return {
                id(part.get_parameter(name)): decay ** (last - number) for name, number in numbers.items()
            }
    raise UserError(
        "`layer_decay` is for networks whose layers are known, and this one names none: take one of timm "
        "(`net=timm:NAME`), or leave it out"
    )


def _of_timm(net: Any) -> dict[str, int]:
    """The layer of each parameter, by its name."""
    from timm.models import group_parameters

    found: dict[str, int] = group_parameters(net, net.group_matcher(coarse=False), reverse=True)
    return found


def _of_stages(net: nn.Module) -> dict[str, int]:
    """The same by the stages, in the order in which the network holds its modules."""
    known: Any = net
    head = {id(parameter) for parameter in known.head.parameters()}
    last = len(known.hidden_layers) + 1
    numbers: dict[str, int] = {}
    layer = 0
    for place, module in net.named_modules():
        layer = min(layer + (place in known.hidden_layers), last)
        for name, parameter in module.named_parameters(place, recurse=False):
            layer = last if id(parameter) in head else layer
            numbers[name] = layer
    used = sorted({*numbers.values()})  # a stage may hold no parameters
    return {name: used.index(number) for name, number in numbers.items()}
