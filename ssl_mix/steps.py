"""What the steps of semi-supervised algorithms have in common: the parts of a batch, forward passes, the sum of the terms."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ssl_mix.losses._common import full_precision
from ssl_mix.models.batch_norm import frozen_running_statistics
from ssl_mix.types import Batch, PseudoLabels, Samples, StepOutput


def parts(batch: Batch) -> tuple[Tensor, Tensor, Samples]:
    """Weak views of the labelled pictures (B, C, H, W), their labels (B,), and the unlabelled half of a batch."""
    assert batch.unlabeled is not None and batch.labeled.target is not None
    return batch.labeled.views["weak"], batch.labeled.target, batch.unlabeled


def logits_of(net: nn.Module, images: Tensor) -> Tensor:
    """Logits (N, C) in full precision; in a student they move the running batch-norm statistics."""
    return full_precision(net(images))


def together(net: nn.Module, *images: Tensor) -> tuple[Tensor, ...]:
    """Logits of each part from one forward pass: all share their batch-norm statistics, and move the running ones."""
    return torch.split(logits_of(net, torch.cat(images)), [len(part) for part in images])


def apart(net: nn.Module, images: Tensor) -> Tensor:
    """Logits from a forward pass that normalises by its own batch and leaves running batch-norm statistics alone."""
    with frozen_running_statistics(net):
        return logits_of(net, images)


def step_output(
    terms: Mapping[str, tuple[float, Tensor]],
    mixing: tuple[Tensor, dict[str, Tensor]],
    pseudo: PseudoLabels | None,
    carry: dict[str, Tensor] | None = None,
) -> StepOutput:
    """The sum of the weighted terms and of the mixing terms, with each term and the coverage as metrics.

    Args:
        terms: weight and value of each term by name.
        mixing: what ``AsymmetricMix`` returned.
        pseudo: the guesses of this step, if any were made.
        carry: news for the algorithm's buffers.
    """
    loss = sum((weight * value for weight, value in terms.values()), start=mixing[0])
    metrics = {f"loss/{name}": value.detach() for name, (_, value) in terms.items()}
    if pseudo is not None:
        metrics["coverage"] = pseudo.mask.mean()
    return StepOutput(loss, {**metrics, **mixing[1]}, carry or {}, pseudo)
