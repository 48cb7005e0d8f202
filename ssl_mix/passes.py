"""Forward passes, and the batch-norm statistics that they normalize by and move."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MethodType
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_mix.errors import UserError, with_article
from ssl_mix.types import Backbone

WeakPass = Literal["together", "apart"]


def is_backbone(net: nn.Module) -> bool:
    """Whether the network has a method ``features`` and a linear ``head``.

    A sub-module called "features" is none: it is the first part of some networks, and its output is not what
    their classifiers read.
    """
    features = getattr(net, "features", None)
    called = callable(features) and not isinstance(features, nn.Module)
    return called and isinstance(getattr(net, "head", None), nn.Linear)


def backbone(net: nn.Module) -> Backbone:
    """The same network, known to have its features and its head apart.

    Raises:
        ValueError: it has not.
    """
    if not is_backbone(net):
        raise UserError(
            "this needs a network with a linear head (net.head) over net.features(x), and "
            f"{type(net).__name__} is none: pass ssl_mix.models.adapt(net)"
        )
    return cast(Backbone, net)


def full_precision(logits: Tensor) -> Tensor:
    """Logits in float32, or as they are where they already hold float32 or float64."""
    if logits.ndim != 2 or not logits.is_floating_point():
        raise UserError(f"logits must be float (N, C), got {logits.dtype} {tuple(logits.shape)}")
    return logits if logits.dtype == torch.float64 else logits.float()


def logits_of(net: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, C) in full precision; in a student they move the running batch-norm statistics."""
    return full_precision(logits_in(net(images), net))


def logits_in(output: object, net: nn.Module) -> Tensor:
    """The logits in what a network returns: the tensor itself, or what a mapping or an object, those of
    Hugging Face for instance, holds as ``logits``.

    Raises:
        ValueError: there are none.
    """
    found = output.get("logits") if isinstance(output, Mapping) else getattr(output, "logits", output)
    if not isinstance(found, Tensor):
        raise UserError(
            f"{type(net).__name__} returns {with_article(type(output).__name__)} where logits (N, C) are "
            "needed, or something that holds them as `logits`: wrap it in a module whose forward "
            "returns those alone"
        )
    return found


def together(net: nn.Module, *images: Tensor) -> tuple[Tensor, ...]:
    """Logits of each part from one forward pass: all share their batch-norm statistics, and move the running
    ones."""
    return torch.split(logits_of(net, torch.cat(images)), [len(part) for part in images])


def with_answers(
    net: nn.Module, x: Tensor, unlabeled: Mapping[str, Tensor], weak_pass: WeakPass
) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of labeled images, and of the "weak" and "strong" views of unlabeled ones, of which the weak
    serve as answers and need no gradient.

    "together" is one pass over all. "apart" is a pass for each, normalized by its own batch, the weak one
    without gradient; the strong one leaves running statistics alone. A network whose statistics do not follow
    the batch answers the same either way, and computes no gradient that is not needed.
    """
    weak, strong = unlabeled["weak"], unlabeled["strong"]
    if not follows_the_batch(net):
        logits_x, logits_strong = together(net, x, strong)
    elif weak_pass == "apart":
        logits_x, logits_strong = logits_of(net, x), apart(net, strong)
    else:
        logits_x, logits_weak, logits_strong = together(net, x, weak, strong)
        return logits_x, logits_weak, logits_strong
    with torch.no_grad():
        return logits_x, logits_of(net, weak), logits_strong


def apart(net: nn.Module, images: Tensor) -> Tensor:
    """Logits from a forward pass that normalizes by its own batch and leaves running batch-norm statistics
    alone."""
    with frozen_running_statistics(net):
        return logits_of(net, images)


@contextmanager
def evaluating(net: nn.Module) -> Iterator[None]:
    """Within the block the network is in evaluation mode; afterwards, also after an error, every module is in
    the mode that it was in before."""
    training = [module for module in net.modules() if module.training]
    net.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def keep_running_statistics(layer: _BatchNorm) -> None:
    """Let a layer normalize by its running statistics and never change them, whatever mode its network is put
    into.

    The layer's own ``train`` is replaced, which copies of the layer keep; names and state stay as they were.
    """
    layer.eval()
    vars(layer)["train"] = MethodType(_stay_in_evaluation, layer)


def _stay_in_evaluation(layer: _BatchNorm, mode: bool = True) -> _BatchNorm:
    del mode
    return layer


def follows_the_batch(net: nn.Module) -> bool:
    """Whether a layer's statistics follow the batch in training."""
    return bool(_norms(net))


@contextmanager
def frozen_running_statistics(net: nn.Module) -> Iterator[None]:
    """Within the block a network in training mode normalizes by the batch and updates no running statistics.

    For images that the network will not meet at test time, mixed ones for instance.
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
    """Within the block a network in evaluation mode normalizes by the batch, as a student does, and remembers
    nothing of it.

    For a teacher that must see the images as its student sees them.
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
