"""How good a network is on classes with many, with some and with few labels."""

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.evaluation.confusion import confusion_matrix


def geometric_mean_recall(probabilities: Tensor, labels: Tensor) -> float:
    """``(prod_c recall_c)^(1 / C)`` over the C classes that occur among the labels (N,): 0 where a class is
    never right. Codes of DARP and ABC take 1 / 100 for such a class's recall.

    Args:
        probabilities: (N, C).
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: as for :func:`accuracy`.

    Examples:
        >>> probabilities = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4]])
        >>> geometric_mean_recall(probabilities, torch.tensor([0, 1, 1]))  # sqrt(1 * 1/2)
        0.7071067811865476
    """
    recalls = _recalls(probabilities, labels)
    return float(recalls[~recalls.isnan()].log().mean().exp())


def shot_accuracies(probabilities: Tensor, labels: Tensor, class_counts: Tensor) -> dict[str, float]:
    """Mean recall of the classes with the "many", "medium" and "few" labels.

    The classes are ordered by their labeled images, of equals the first ones first. The first third, rounded
    down, has many, the last as many classes have few, those in between are medium: 3, 4 and 3 of the ten of
    CIFAR-10, as is usual for its long-tailed form. The bounds of ImageNet-LT, 100 and 20 images, say nothing
    where no class has 20 labels. A class without test images counts nowhere.

    Args:
        probabilities: (N, C).
        labels: (N,) int64 in [0, C).
        class_counts: labeled images of each class, (C,).

    Returns:
        By name; a group without test images has none.

    Raises:
        ValueError: as for :func:`accuracy`, or the counts are not one for each class.

    Examples:
        >>> probabilities = torch.eye(3)[[0, 0, 1, 1, 1]]
        >>> shot_accuracies(probabilities, torch.tensor([0, 0, 1, 1, 2]), torch.tensor([50, 7, 1]))
        {'many': 1.0, 'medium': 1.0, 'few': 0.0}
    """
    recalls = _recalls(probabilities, labels)
    if not isinstance(class_counts, Tensor) or class_counts.shape != recalls.shape:
        got = tuple(class_counts.shape) if isinstance(class_counts, Tensor) else type(class_counts).__name__
        raise UserError(f"class_counts must be a tensor ({len(recalls)},), one per class, got {got}")
    means = {name: float(recalls[group].nanmean()) for name, group in shot_groups(class_counts).items()}
    return {name: mean for name, mean in means.items() if mean == mean}  # NaN of no class


def shot_groups(class_counts: Tensor) -> dict[str, Tensor]:
    """The classes with the "many", "medium" and "few" of the labels (C,), see :func:`shot_accuracies`."""
    order, third = class_counts.cpu().argsort(descending=True, stable=True), len(class_counts) // 3
    sizes = [third, len(order) - 2 * third, third]
    return dict(zip(("many", "medium", "few"), torch.split(order, sizes), strict=True))


def _recalls(probabilities: Tensor, labels: Tensor) -> Tensor:
    """(C,) float64 on the CPU; NaN where a class has no images."""
    table = confusion_matrix(probabilities, labels).cpu().double()
    return table.diagonal() / torch.bincount(labels.cpu(), minlength=len(table))
