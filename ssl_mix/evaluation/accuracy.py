"""Class probabilities of stored pictures, and how often the largest is right."""

import torch
from torch import Tensor, nn

from ssl_mix.augment import Augmentation
from ssl_mix.datasets import ImageSource

CHUNK = 500


@torch.inference_mode()
def predict_probabilities(
    net: nn.Module,
    images: ImageSource,
    augmentation: Augmentation,
    device: torch.device,
    *,
    indices: Tensor | None = None,
) -> Tensor:
    """Softmax of the logits of unaltered pictures, in float32 and evaluation mode.

    Args:
        net: returns logits; its mode is restored.
        images: the pictures.
        augmentation: knows how to normalise them.
        device: where the network is.
        indices: which pictures, (N,) int64; default: all, in order.

    Returns:
        (N, C) float32 on the CPU.
    """
    chunks = torch.split(torch.arange(len(images)) if indices is None else indices, CHUNK)
    training = [module for module in net.modules() if module.training]
    net.eval()
    logits = [net(augmentation.normalise(batch)).float() for batch in images.batches(chunks, device)]
    for module in training:
        module.training = True
    return torch.cat(logits).softmax(dim=1).cpu()


def accuracy(probabilities: Tensor, labels: Tensor) -> float:
    """Share of pictures whose largest probability (N, C) is at their label (N,)."""
    return (probabilities.argmax(dim=1) == labels).float().mean().item()
