"""What a trainer refuses before its first step, each mistake by the name of its argument."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm
from ssl_mix.augment import Augmentation
from ssl_mix.augment.views import Views
from ssl_mix.datasets import DataSet, Split
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.execution import half_precision, kept_buffers, resolve_device
from ssl_mix.engine.guard import without_rejected
from ssl_mix.errors import UserError, with_article
from ssl_mix.models.first_weights import is_trained
from ssl_mix.passes import backbone, is_backbone
from ssl_mix.types import Batch, Nets, Step, StepOutput

KINDS = {"algorithm": Algorithm, "net": nn.Module, "data": DataSet, "split": Split, "config": TrainConfig}
MAKING = {
    "data": "ssl_mix.datasets.as_dataset makes one of folders, lists, (X, y) and Datasets, as a DataLoader's "
    ".dataset",
    "split": "ssl_mix.datasets.choose_split makes one",
}
TRIAL = 2  # images: with one alone, some networks drop the axis of the batch


def check_kinds(**given: object) -> None:
    """Raise unless each argument of a trainer is of its kind: no tensors for data, no class for an object."""
    for name, value in given.items():
        kind = KINDS[name]
        if isinstance(value, kind):
            continue
        if isinstance(value, type):
            found, remedy = f"the class {value.__name__}", f"call it, {value.__name__}(...)"
        else:
            found, remedy = type(value).__name__, MAKING.get(name, f"pass {with_article(kind.__name__)}")
        raise UserError(f"{name} must be {with_article(kind.__name__)}, got {found}: {remedy}")


def check_network(
    net: nn.Module,
    shape: tuple[int, ...],
    num_classes: int,
    config: TrainConfig,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Raise unless the network can learn these classes from such images.

    Two black images pass through it where it is, in evaluation mode and without gradients. Modes and buffers
    are afterwards as they were; its random draws are the caller's to undo.

    Args:
        net: the student.
        shape: (C, H, W) of the images that it will see, or that of other inputs.
        num_classes: of the data.
        config: how to train.
        dtype: of the inputs.

    Raises:
        ValueError: the network cannot look at such images; it returns something else than one logit for each
            class; its head and its features do not make its logits; ``head_lr_factor`` is for a network whose
            head is not known.
    """
    kind = type(net).__name__
    if config.head_lr_factor != 1 and not is_backbone(net):
        raise UserError(
            f"head_lr_factor {config.head_lr_factor:g} is for a network whose head is known, and {kind} has "
            "no linear head over features(x): pass ssl_mix.models.adapt(net)"
        )
    if getattr(net, "aux_logits", False):
        raise UserError(
            f"net returns more than logits in training, those of auxiliary classifiers too: build {kind} "
            "with aux_logits=False"
        )
    training = [module for module in net.modules() if module.training]
    for module in training:
        module.training = False  # not by net.eval(), which does more in some networks
    try:
        with torch.no_grad(), kept_buffers(net), _precision(net, config):
            _try(net, shape, num_classes, dtype)
    finally:
        for module in training:
            module.training = True


def check_sizes(
    net: nn.Module,
    views: Views,
    shape: tuple[int, ...],
    num_classes: int,
    config: TrainConfig,
    dtype: torch.dtype = torch.float32,
) -> None:
    """:func:`check_network` for what a network learns from, and for what an evaluation shows it.

    Args:
        net: the student.
        views: tell whether an evaluation shows images of another size.
        shape: as for that function, and so are the others.
        num_classes: of the data.
        config: how to train.
        dtype: of the inputs.

    Raises:
        ValueError: as that function; the network is built for one size.
    """
    check_network(net, shape, num_classes, config, dtype)
    size = views.test_size if isinstance(views, Augmentation) else None
    if size is None or size == shape[-1]:
        return
    try:
        check_network(net, (shape[0], size, size), num_classes, config, dtype)
    except UserError as error:
        raise UserError(
            f"`test_image_size` {size}: {type(net).__name__} looks at images of the {shape[-1]} pixels alone "
            "that it learns from: leave it out, or take a network for any size"
        ) from error


def output_of(algorithm: Algorithm, nets: Nets, batch: Batch, step: Step, reject: float = 0.0) -> StepOutput:
    """What an algorithm makes of a batch without the share ``reject`` of its unlabeled images.

    Raises:
        ValueError: batch norm gets one value for each channel, which has no deviation.
    """
    try:
        batch = without_rejected(algorithm, nets.teacher, batch, reject)
        output: StepOutput = algorithm(nets, batch, step)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise UserError(
            "batch norm needs more than one value for each channel, and one image passes the network at a "
            "time: raise `batch_size` or lower `accumulate`"
        ) from error
    return output


def warn_of_weights(net: nn.Module) -> None:
    """Warn where a network with trained weights is to be trained by the settings for random ones."""
    if is_trained(net):
        wanted = 'TrainConfig(steps=200, lr=0.001, schedule="half-cosine")'
        warnings.warn(
            f"{type(net).__name__} has trained weights, and the defaults of TrainConfig are for random ones "
            f"(1000 steps at a rate of 0.03): pass {wanted}, or what you want",
            stacklevel=3,
        )


def _precision(net: nn.Module, config: TrainConfig) -> torch.autocast:
    """The autocast of training for a network that is not in float32; others are tried without."""
    weight = next(net.parameters(), torch.zeros(()))
    precision = half_precision(config, resolve_device(config.device))
    enabled = precision is not None and weight.dtype != torch.float32
    return torch.autocast(weight.device.type, precision or torch.bfloat16, enabled=enabled)


def _try(net: nn.Module, shape: tuple[int, ...], num_classes: int, dtype: torch.dtype) -> None:
    device = next((weight.device for weight in net.parameters()), None)
    images = torch.zeros(TRIAL, *shape, device=device, dtype=dtype)
    try:
        logits: Any = net(images)
        parts = backbone(net) if is_backbone(net) else None
        again = None if parts is None else parts.head(parts.features(images[:1]))
    except UserError:  # says itself what is wrong
        raise
    except Exception as error:  # whatever the network raises for images that are not its own
        raise UserError(_unfit(net, shape, error)) from error
    _check_logits(net, logits, num_classes)
    if again is not None and not torch.allclose(again.float(), logits[:1].float(), rtol=1e-3, atol=1e-4):
        raise UserError(
            f"net(x) must be net.head(net.features(x)), and for {type(net).__name__} it is not: correct its "
            "forward, or give one of the two another name"
        )


def _check_logits(net: nn.Module, logits: Any, num_classes: int) -> None:
    kind = type(net).__name__
    if not isinstance(logits, Tensor):
        raise UserError(
            f"net must return logits (N, {num_classes}), {kind} returns "
            f"{with_article(type(logits).__name__)}: pass a module around it whose forward returns the "
            "logits alone"
        )
    if logits.ndim != 2 or len(logits) != TRIAL or not logits.is_floating_point():
        raise UserError(
            f"net must return float logits (N, {num_classes}), {kind} makes {logits.dtype} "
            f"{tuple(logits.shape)} of {TRIAL} images"
        )
    if logits.shape[1] != num_classes:
        raise UserError(
            f"net has {logits.shape[1]} logits, the data have {num_classes} classes: build {kind} with "
            f"num_classes={num_classes}, or give it another last layer "
            f"(adapt(net).head = new_head(features, {num_classes}))"
        )


def _unfit(net: nn.Module, shape: tuple[int, ...], error: Exception) -> str:
    """Why the network cannot look at the images, and what to do."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if len(shape) != 3:
        return (
            f"net ({type(net).__name__}) fails on inputs of shape {shape}, as the data have them ({reason})"
        )
    channels, height, width = shape
    first = next((layer for layer in net.modules() if isinstance(layer, nn.Conv2d)), None)
    if first is not None and first.in_channels != channels:
        remedy = (
            f"its first convolution takes {first.in_channels} channels: build it with channels={channels}"
        )
    else:
        remedy = f"build it for this size (image_size={height}), or give the images another"
    return (
        f"net ({type(net).__name__}) fails on images of {channels} channels and {height}x{width} pixels, as "
        f"the data have them ({reason}); {remedy}"
    )
