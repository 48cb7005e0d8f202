"""Class probabilities of stored images, and how often the largest is right."""

import torch
from torch import Tensor, nn

from ssl_mix.augment.crops import Crops, ten_crops
from ssl_mix.augment.views import Views
from ssl_mix.datasets import ImageSource
from ssl_mix.datasets.label_range import check_label_range
from ssl_mix.errors import UserError

CHUNK = 500


@torch.inference_mode()
def predict_probabilities(
    net: nn.Module,
    images: ImageSource,
    augmentation: Views,
    device: torch.device,
    *,
    indices: Tensor | None = None,
    crops: Crops = "center",
) -> Tensor:
    """Softmax of the logits of unaltered images, in float32 and evaluation mode.

    With ten crops it is that of the mean of their logits. Published codes of fine-grained transfer add the
    logits up: the same classes, but probabilities ten times as sharp.

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
        ValueError: ten crops of images that are no larger than what the network sees.

    Examples:
        >>> from ssl_mix.datasets import load_digits_data
        >>> data, net = load_digits_data(), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        >>> found = predict_probabilities(net, data.test.images, data.augmentation, torch.device("cpu"))
        >>> found.shape, found.sum(dim=1).allclose(torch.ones(360))
        (torch.Size([360, 10]), True)
    """
    size = augmentation.seen(images.shape)[1]
    if crops == "ten" and size == min(images.shape[1:]):
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

    chunks = torch.split(torch.arange(len(images)) if indices is None else indices, CHUNK)
    training = [module for module in net.modules() if module.training]
    net.eval()
    logits = [logits_of(batch) for batch in images.batches(chunks, device)]
    for module in training:
        module.training = True
    return torch.cat(logits).softmax(dim=1).cpu()


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Share of images whose largest probability (N, C) is at their label (N,).

    Raises:
        ValueError: there is not one label for each image, or one is none of the C classes.

    Examples:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [0.6, 0.4]])
        >>> accuracy(probabilities, torch.tensor([0, 1, 1, 1]))
        0.75
    """
    _check(probabilities, labels)
    return (probabilities.argmax(dim=1) == labels).float().mean().item()


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
    _check(probabilities, labels)
    right = (probabilities.argmax(dim=1) == labels).double()
    classes = probabilities.shape[1]
    counts = torch.bincount(labels, minlength=classes)
    shares = torch.bincount(labels, weights=right, minlength=classes) / counts
    return shares[counts > 0].mean().item()


def _check(probabilities: Tensor, labels: Tensor) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise UserError(
            f"expected probabilities (N, C) and labels (N,), got {tuple(probabilities.shape)} and "
            f"{tuple(labels.shape)}"
        )
    check_label_range(labels, probabilities.shape[1], "labels", unknown=False)
