"""How far an accuracy could be off because there are no more test images."""

import torch
from torch import Tensor

from ssl_mix.errors import check_count, check_seed
from ssl_mix.evaluation.confusion import predicted_classes
from ssl_mix.evaluation.top_k import among_top

DRAWN = 2**20  # images that are drawn at once


def bootstrap_intervals(
    probabilities: Tensor, labels: Tensor, *, resamples: int = 1000, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile bootstrap intervals: N images are drawn from the N with replacement, again and again, and
    the interval holds the middle 95 % of what they give (Efron and Tibshirani, An introduction to the
    bootstrap, 1993).

    It says what other test images of the same kind would change, not what training anew would. Within a
    resample the classes that occur in it count, as for the measure itself. It is nothing but the measure
    where all images are right, or wrong, and too narrow for a class of few images.

    Args:
        probabilities: (N, C), or logits.
        labels: (N,) int64 in [0, C).
        resamples: how many times N images are drawn.
        seed: of the draws.

    Returns:
        Lower and upper end for ``accuracy``, ``mean_class_accuracy`` and ``macro_f1``, and for
        ``top_5_accuracy`` where there are more than 5 classes.

    Raises:
        ValueError: as for :func:`confusion_matrix`, or ``resamples`` is no number above 0.

    Examples:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
        >>> bootstrap_intervals(probabilities, torch.tensor([0, 1, 1, 0]))["accuracy"]
        (0.25, 1.0)
    """
    check_count("resamples", resamples)
    check_seed("seed", seed)
    predicted, classes = predicted_classes(probabilities, labels).cpu(), probabilities.shape[1]
    five = among_top(probabilities, labels, 5).cpu() if classes > 5 else None
    labels, count = labels.cpu(), len(labels)
    generator = torch.Generator().manual_seed(int(seed))
    found: dict[str, list[Tensor]] = {}
    for start in range(0, resamples, max(1, DRAWN // count)):
        rows = min(max(1, DRAWN // count), resamples - start)
        drawn = torch.randint(count, (rows, count), generator=generator)
        values = _accuracies(predicted[drawn], labels[drawn], classes)
        if five is not None:
            values["top_5_accuracy"] = five[drawn].double().mean(dim=1)
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return {name: _middle(torch.cat(parts)) for name, parts in found.items()}


def _accuracies(predicted: Tensor, labels: Tensor, classes: int) -> dict[str, Tensor]:
    """Of each row of predicted classes (B, N) and labels (B, N), each (B,)."""

    def counts(chosen: Tensor, of: Tensor) -> Tensor:
        rows = torch.arange(len(of))[:, None] * classes
        return torch.bincount((of + rows)[chosen], minlength=len(of) * classes).view(-1, classes).double()

    every, hit = torch.ones_like(labels, dtype=torch.bool), predicted == labels
    right, true, guessed = counts(hit, labels), counts(every, labels), counts(every, predicted)
    return {
        "accuracy": hit.double().mean(dim=1),
        "mean_class_accuracy": _mean_where(right, true),
        "macro_f1": _mean_where(2 * right, true + guessed),
    }


def _mean_where(part: Tensor, whole: Tensor) -> Tensor:
    """Mean of ``part / whole`` (B, C) over the classes of which there is a whole, (B,)."""
    return (part / whole.clamp(min=1)).sum(dim=1) / (whole > 0).sum(dim=1)


def _middle(values: Tensor) -> tuple[float, float]:
    low, high = values.quantile(torch.tensor([0.025, 0.975], dtype=values.dtype)).tolist()
    return low, high
