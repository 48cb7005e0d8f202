"""Optimizers and their learning rates."""

import math
from collections.abc import Iterable
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.layers import layer_factors
from ssl_mix.engine.timm_optimizers import timm_optimizer
from ssl_mix.models.pretrained import source_classifier


def build_optimizer(
    net: nn.Module, config: TrainConfig, body: Iterable[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """SGD or AdamW, fused, or one of timm's.

    There is no weight decay on parameters with one axis (biases, norms), nor on those that a network of timm
    exempts. Frozen parameters are left out. Where ``config.head_lr_factor`` is not 1, what is not in ``body``
    makes up groups of its own, and so does each layer with ``config.layer_decay``; by their entry "factor"
    :func:`set_learning_rate` multiplies.

    Args:
        net: holds every parameter to train.
        config: how to train.
        body: parameters that are not new, see :func:`body_of`; needed for ``head_lr_factor`` alone.
    """
    patterns = _exempt(net)
    known = {id(parameter) for parameter in body} if config.head_lr_factor != 1 else None
    layers = layer_factors(net, config.layer_decay) if config.layer_decay != 1 else {}
    groups: dict[tuple[float, bool], list[Tensor]] = {(1.0, False): [], (1.0, True): []}
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            exempt = parameter.ndim <= 1 or any(fnmatchcase(name, pattern) for pattern in patterns)
            factor = 1.0 if known is None or id(parameter) in known else config.head_lr_factor
            factor *= layers.get(id(parameter), 1.0)
            groups.setdefault((factor, exempt), []).append(parameter)
    described = [
        {
            "params": members,
            "weight_decay": 0.0 if exempt else config.weight_decay,
            "factor": factor,
            "lr": config.lr * factor,
        }
        for (factor, exempt), members in groups.items()
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(described, lr=config.lr, fused=True)
    if config.optimizer != "sgd":
        described = [group for group in described if group["params"]]
        return timm_optimizer(config.optimizer, described, lr=config.lr, momentum=config.momentum)
    nesterov = config.nesterov and config.momentum > 0
    return torch.optim.SGD(described, lr=config.lr, momentum=config.momentum, nesterov=nesterov, fused=True)


def body_of(net: nn.Module) -> list[nn.Parameter]:
    """The parameters of a network without its head, and those of the source head of a pre-trained one."""
    head, source = getattr(net, "head", None), source_classifier(net)
    new = {id(parameter) for parameter in head.parameters()} if isinstance(head, nn.Module) else set()
    kept = [parameter for parameter in net.parameters() if id(parameter) not in new]
    return [*kept, *(source.parameters() if source is not None else ())]


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group ``rate`` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def _exempt(net: nn.Module) -> set[str]:
    """Full names, or patterns of them, of the parameters that modules name in ``no_weight_decay()``, as
    timm's do."""
    found = set()
    for prefix, module in net.named_modules():
        if hasattr(module, "no_weight_decay"):
            found |= {f"{prefix}.{name}" if prefix else name for name in module.no_weight_decay()}
    return found


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of step ``step``, 0 for the first: a pure function, so that nothing need be
    restored."""
    step -= step % config.lr_every
    if step < config.warmup_steps:
        return config.warmup_lr + (config.lr - config.warmup_lr) * step / config.warmup_steps
    return scheduled(config, step)


def scheduled(config: TrainConfig, step: int) -> float:
    """The schedule without its warm-up."""
    done = step / config.steps
    if config.schedule == "cosine":
        return config.lr * math.cos(7 * math.pi * done / 16)
    if config.schedule == "half-cosine":
        return config.final_lr + (config.lr - config.final_lr) * (1 + math.cos(math.pi * done)) / 2
    if config.schedule == "step":
        milestones = config.milestones or (config.steps / 2, config.steps * 3 / 4)
        return config.lr * 0.1 ** sum(step >= milestone for milestone in milestones)
    return config.lr
