"""Layers that training leaves as they are."""

from collections.abc import Iterable

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm, _NormBase

from ssl_mix.errors import UserError
from ssl_mix.passes import backbone, keep_running_statistics

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm)


def keep_statistics(modules: Iterable[nn.Module]) -> None:
    """Let batch norm among the modules normalize by its running statistics and leave them alone, also after
    ``net.train()``; its scale and shift are trained as before."""
    for module in modules:
        if isinstance(module, _BatchNorm):
            keep_running_statistics(module)


def train_last_stages(net: nn.Module, count: int) -> None:
    """Train the last stages of a network, with what follows them, and leave what comes before as it is.

    That has weights without gradients and keeps its batch-norm statistics.

    Args:
        net: a network whose ``hidden_layers`` name its stages by their last layers; changed in place.
        count: how many stages to train; all of them leave the stem as it is.

    Raises:
        ValueError: the network has fewer stages, or names none.
    """
    stages: tuple[str, ...] = getattr(net, "hidden_layers", ())
    if not 1 <= count <= len(stages):
        raise UserError(
            f"`tune=stages:{count}` trains the last {count} of the stages of a network, and "
            f"{type(getattr(net, 'body', net)).__name__} names {len(stages) or 'none'}"
        )
    named = list(net.named_modules())
    if count == len(stages):
        end = min(place for place, (name, _) in enumerate(named) if _within(name, stages[0]))
    else:
        last = stages[-count - 1]
        end = 1 + max(place for place, (name, _) in enumerate(named) if _within(name, last))
    kept = [module for _, module in named[:end]]
    for module in kept:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
    keep_statistics(kept)


def _within(name: str, stage: str) -> bool:
    """Whether a module is a stage or a part of it."""
    return f"{name}.".startswith(f"{stage}.")


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
