"""Features of stored images: what the head of a network reads of each."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ssl_mix.augment.views import Views
from ssl_mix.datasets import ImageSource
from ssl_mix.datasets.images import check_source
from ssl_mix.evaluation.accuracy import at_once
from ssl_mix.passes import backbone, evaluating

BATCH = 32  # a CPU takes less time for an image than in batches of hundreds


def plain_features(
    net: nn.Module,
    images: ImageSource,
    augmentation: Views,
    device: torch.device,
    *,
    indices: Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """``net.features`` of unaltered images in evaluation mode: (N, D) float32 on the CPU.

    Args:
        net: with ``features`` and a linear ``head``; its mode is restored.
        images: the images.
        augmentation: knows what the network sees of them, and how to normalize it.
        device: where the network is.
        indices: which images, (N,) int64; default: all, in order.
        progress: told images done and images in all.

    Raises:
        ValueError: the network has no linear head over its features.

    Examples:
        >>> from ssl_mix.datasets import load_digits_data
        >>> from ssl_mix.models import build_model
        >>> data = load_digits_data()
        >>> net = build_model("small-cnn", 10, channels=1)
        >>> images, first = data.train.images, torch.arange(4)
        >>> plain_features(net, images, data.of_pixels, torch.device("cpu"), indices=first).shape
        torch.Size([4, 64])
    """
    check_source(images)
    body = backbone(net)
    wanted = torch.arange(len(images)) if indices is None else indices
    found = [torch.empty(0, body.head.in_features)]
    done = 0
    chunks = torch.split(wanted, at_once(images.shape, BATCH)) if len(wanted) else ()
    with evaluating(net):
        for batch in images.batches(chunks, device):
            with torch.inference_mode():
                seen = augmentation.normalize(augmentation.plain(batch), channels_last=True)
                found.append(body.features(seen).float().cpu())
            done += len(batch)
            if progress is not None:
                progress(done, len(wanted))
    return torch.cat(found)
