"""Optimisers and their learning rates."""

import math
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from ssl_mix.engine.config import TrainConfig

WARMUP_START = 1e-6


def build_optimizer(net: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD or AdamW, fused.

    There is no weight decay on parameters with one axis (biases, norms), nor on those that a network of timm exempts.
    """
    patterns = _exempt(net)
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            exempt = parameter.ndim <= 1 or any(fnmatchcase(name, pattern) for pattern in patterns)
            (plain if exempt else decayed).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, fused=True)
    nesterov = config.nesterov and config.momentum > 0
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=nesterov, fused=True)


def _exempt(net: nn.Module) -> set[str]:
    """Full names, or patterns of them, of the parameters that modules name in ``no_weight_decay()``, as timm's do."""
    found = set()
    for prefix, module in net.named_modules():
        if hasattr(module, "no_weight_decay"):
            found |= {f"{prefix}.{name}" if prefix else name for name in module.no_weight_decay()}
    return found


def learning_rate(config: TrainConfig, step: int) -> float:
    """The learning rate of step ``step``, 0 for the first: a pure function, so that nothing need be restored."""
    if step < config.warmup_steps:
        return WARMUP_START + (scheduled(config, step) - WARMUP_START) * step / config.warmup_steps
    return scheduled(config, step)


def scheduled(config: TrainConfig, step: int) -> float:
    """The schedule without its warm-up."""
    done = step / config.steps
    if config.schedule == "cosine":
        return config.lr * math.cos(7 * math.pi * done / 16)
    if config.schedule == "half-cosine":
        return config.final_lr + (config.lr - config.final_lr) * (1 + math.cos(math.pi * done)) / 2
    if config.schedule == "step":
        return config.lr * 0.1 ** ((done >= 0.5) + (done >= 0.75))
    return config.lr
