"""Layers that training leaves as they are."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from ssl_mix.errors import UserError, check_not_negative
from ssl_mix.passes import backbone, keep_running_statistics

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)


def freeze(net: nn.Module, stages: int, *, norms: bool = False) -> None:
    """Freeze the first stages of a network, and the running statistics of all its batch-norm layers if
    ``norms``.

    A frozen stage, with everything that the network holds before it (the stem), has weights without gradients
    and batch norm that normalizes by its running statistics and leaves them alone, also after
    ``net.train()``.

    Args:
        net: a network whose ``hidden_layers`` name its stages; changed in place.
        stages: how many stages to freeze, 0 for none.
        norms: keep the running statistics of every batch-norm layer, whose scale and shift are still trained.

    Raises:
        ValueError: fewer stages than are to be frozen, or none that are named.
    """
    check_not_negative("frozen", stages)
    if stages:
        for module in _first_stages(net, stages):
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(False)
            if isinstance(module, _BatchNorm):
                keep_running_statistics(module)
    if norms:
        for module in net.modules():
            if isinstance(module, _BatchNorm):
                keep_running_statistics(module)


def train_norms_alone(net: nn.Module) -> None:
    """Leave all weights as they are but scale and shift of normalization, and the head.

    Args:
        net: with a linear ``head``; changed in place.

    Raises:
        ValueError: there is no normalization with a scale.
    """
    kept = list(backbone(net).head.parameters())
    scales = [p for module in net.modules() if isinstance(module, NORMS) for p in module.parameters(False)]
    if not scales:
        raise UserError(f"`tune=norms` trains normalization, and {type(net).__name__} has none with a scale")
    trained = {id(parameter) for parameter in (*kept, *scales)}
    for parameter in net.parameters():
        parameter.requires_grad_(parameter.requires_grad and id(parameter) in trained)


def _first_stages(net: nn.Module, count: int) -> list[nn.Module]:
    """Every module up to the end of the stage, in the order in which the network holds them."""
    stages: tuple[str, ...] = getattr(net, "hidden_layers", ())
    if count > len(stages):
        raise UserError(f"frozen must be at most {len(stages)}, the stages of this network; got {count}")
    last = stages[count - 1]
    named = list(net.named_modules())
    end = max(place for place, (name, _) in enumerate(named) if f"{name}.".startswith(f"{last}."))
    return [module for _, module in named[: end + 1]]
