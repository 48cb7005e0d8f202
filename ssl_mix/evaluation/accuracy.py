"""Class probabilities of stored images, and how often the largest is right."""

import math

import torch
from torch import Tensor, nn

from ssl_mix.augment.crops import Crops, ten_crops
from ssl_mix.augment.views import Views
from ssl_mix.datasets import ImageSource
from ssl_mix.datasets.images import check_source
from ssl_mix.datasets.label_range import check_label_range
from ssl_mix.errors import UserError
from ssl_mix.passes import evaluating

CHUNK = {"cpu": 32, "cuda": 500}  # a CPU takes less time for an image than in batches of hundreds
PIXELS = 2**25  # of images at a time: of large ones fewer


@torch.inference_mode()
def predict_logits(
    net: nn.Module,
    images: ImageSource,
    augmentation: Views,
    device: torch.device,
    *,
    indices: Tensor | None = None,
    crops: Crops = "center",
) -> Tensor:
    """Logits of unaltered images, in float32 and evaluation mode.

    With ten crops they are the mean of those of the crops. Published codes of fine-grained transfer add them
    up: the same classes, but logits ten times as large.

    Args:
        net: returns logits; its mode is restored.
        images: the images.
        augmentation: knows what the network sees of them, and how to normalize it.
        device: where the network is.
        indices: which images, (N,) int64; default: all, in order.
        crops: "center", or "ten": the corners and the center with their mirror images; five where a mirror
            image means something else.

    Returns:
        (N, C) float32 on the CPU.

    Raises:
        ValueError: ten crops of images that are no larger than what the network sees, or no images at all.

    Examples:
        >>> from ssl_mix.datasets import load_digits_data
        >>> data, net = load_digits_data(), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> predict_logits(net, data.test.images, data.augmentation, torch.device("cpu")).shape
        torch.Size([360, 10])
    """
    check_source(images)
    size = augmentation.seen(images.shape)[-1]
    if crops == "ten" and (len(images.shape) != 3 or size == min(images.shape[1:])):
        raise UserError(
            f"ten crops need images larger than the {size}x{size} pixels that the network sees: take "
            "`crops=center`"
        )

    def logits_of(batch: Tensor) -> Tensor:
        if crops == "center":
            return forward(augmentation.plain(batch))
        found = [forward(crop) for crop in ten_crops(batch, size, mirrored=augmentation.flip)]
        return torch.stack(found).mean(dim=0)

    def forward(seen: Tensor) -> Tensor:
        logits: Tensor = net(augmentation.normalize(seen))
        return logits.float()

    wanted = torch.arange(len(images)) if indices is None else indices
    if len(wanted) == 0:
        raise UserError("there is nothing to predict: no images were chosen")
    chunks = torch.split(wanted, at_once(images.shape, CHUNK[device.type]))
    with evaluating(net):
        return torch.cat([logits_of(batch) for batch in images.batches(chunks, device)]).cpu()


def predict_probabilities(
    net: nn.Module,
    images: ImageSource,
    augmentation: Views,
    device: torch.device,
    *,
    indices: Tensor | None = None,
    crops: Crops = "center",
) -> Tensor:
    """Softmax of the logits of unaltered images; everything else is as for :func:`predict_logits`.

    Examples:
        >>> from ssl_mix.datasets import load_digits_data
        >>> data, net = load_digits_data(), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> found = predict_probabilities(net, data.test.images, data.augmentation, torch.device("cpu"))
        >>> found.shape, found.sum(dim=1).allclose(torch.ones(360))
        (torch.Size([360, 10]), True)
    """
    return predict_logits(net, images, augmentation, device, indices=indices, crops=crops).softmax(dim=1)


def at_once(shape: tuple[int, ...], most: int) -> int:
    """How many images of ``shape`` (C, H, W), or other inputs, to evaluate at once: ``most``, or what has
    2^25 pixels."""
    return max(1, min(most, PIXELS // max(1, math.prod(shape[1:]))))


def check_predictions(probabilities: Tensor, labels: Tensor, name: str = "probabilities") -> None:
    """Raise unless there are float (N, C), called ``name``, and int64 (N,) in [0, C), with N above 0."""
    for called, given in ((name, probabilities), ("labels", labels)):
        if not isinstance(given, Tensor):
            raise UserError(f"{called} must be a tensor, got {type(given).__name__}")
    fits = probabilities.ndim == 2 and probabilities.is_floating_point()
    if not fits or labels.dtype != torch.int64 or labels.shape != probabilities.shape[:1]:
        raise UserError(
            f"expected {name} float (N, C) and labels int64 (N,), got "
            f"{probabilities.dtype} {tuple(probabilities.shape)} and {labels.dtype} {tuple(labels.shape)}"
        )
    if len(labels) == 0:
        raise UserError(f"there is nothing to measure without images: {name} and labels are empty")
    if probabilities.is_meta or labels.is_meta:
        raise UserError(f"{name} and labels on the meta device have no values")
    check_label_range(labels, probabilities.shape[1], "labels", unknown=False)


def _right(probabilities: Tensor, labels: Tensor) -> Tensor:
    """Whether the largest probability is at the label, (N,) bool; False for rows with NaN."""
    check_predictions(probabilities, labels)
    return (probabilities.argmax(dim=1) == labels) & ~probabilities.isnan().any(dim=1)


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Share of images whose largest probability (N, C) is at their label (N,). A row with NaN is never right.

    Raises:
        ValueError: a shape or a dtype is wrong, there are no images, or a label is no class.

    Examples:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])
        >>> accuracy(probabilities, torch.tensor([0, 1, 1, 1]))
        0.75
    """
    return _right(probabilities, labels).double().mean().item()


def mean_class_accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Mean over the classes that occur among the labels (N,) of the accuracy within each, as is usual for
    data sets of pets and flowers.

    Args:
        probabilities: (N, C).
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: as for :func:`accuracy`.

    Examples:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> mean_class_accuracy(probabilities, torch.tensor([0, 1, 1]))  # (1/1 + 1/2) / 2
        0.75
    """
    right = _right(probabilities, labels).double()
    classes = probabilities.shape[1]
    counts = torch.bincount(labels, minlength=classes)
    shares = torch.bincount(labels, weights=right, minlength=classes) / counts
    return shares[counts > 0].mean().item()
