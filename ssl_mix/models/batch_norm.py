"""What batch-norm layers normalise by, and whether they remember it, for one forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def keep_running_statistics(layer: _BatchNorm) -> None:
    """Let a layer normalise by its running statistics and never change them, whatever mode its network is put into.

    The layer's own ``train`` is replaced, which copies of the layer keep; names and state stay as they were.
    """
    layer.eval()
    vars(layer)["train"] = MethodType(_stay_in_evaluation, layer)


def _stay_in_evaluation(layer: _BatchNorm, mode: bool = True) -> _BatchNorm:
    del mode
    return layer


@contextmanager
def frozen_running_statistics(net: nn.Module) -> Iterator[None]:
    """Within the block a network in training mode normalises by the batch and updates no running statistics.

    For pictures that the network will not meet at test time, mixed ones for instance.
    """
    layers = [layer for layer in _norms(net) if layer.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True


@contextmanager
def batch_statistics(net: nn.Module) -> Iterator[None]:
    """Within the block a network in evaluation mode normalises by the batch, as a student does, and remembers nothing of it.

    For a teacher that must see the pictures as its student sees them.
    """
    layers = [(layer, layer.training) for layer in _norms(net)]
    for layer, _ in layers:
        layer.training = True
    try:
        with frozen_running_statistics(net):
            yield
    finally:
        for layer, training in layers:
            layer.training = training


def _norms(net: nn.Module) -> list[_BatchNorm]:
    """The layers whose statistics follow the batch, without those that keep theirs."""
    found = [layer for layer in net.modules() if isinstance(layer, _BatchNorm)]
    return [layer for layer in found if "train" not in vars(layer)]
