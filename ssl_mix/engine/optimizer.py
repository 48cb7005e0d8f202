"""The optimiser of the semi-supervised benchmarks."""

import math

import torch
from torch import nn

from ssl_mix.engine.config import TrainConfig


def build_optimizer(net: nn.Module, config: TrainConfig) -> torch.optim.SGD:
    """SGD with Nesterov momentum, fused; no weight decay on biases and norms (parameters with one axis)."""
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.SGD(
        groups, lr=config.lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=True
    )


def learning_rate(config: TrainConfig, step: int) -> float:
    """``lr cos(7 pi t / 16 T)``: ends at 0.195 of its start; or ``lr`` throughout."""
    if config.schedule == "constant":
        return config.lr
    return config.lr * math.cos(7 * math.pi * step / (16 * config.steps))
