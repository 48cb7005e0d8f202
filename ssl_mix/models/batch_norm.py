"""Batch-norm layers that leave their running statistics alone for one forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def frozen_running_statistics(net: nn.Module) -> Iterator[None]:
    """Within the block a network in training mode normalises by the batch and updates no running statistics.

    For pictures that the network will not meet at test time, mixed ones for instance.
    """
    layers = [layer for layer in net.modules() if isinstance(layer, _BatchNorm) and layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
