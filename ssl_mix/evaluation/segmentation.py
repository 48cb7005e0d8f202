"""How good a segmentation is, from the counts of its pixels, which add up over batches."""

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_count

VOID = 255  # a pixel of a mask that belongs to no class, as Pascal VOC marks borders


def pixel_confusion(predicted: Tensor, truth: Tensor, num_classes: int) -> Tensor:
    """How many pixels of class i are taken for class j, (C, C) int64: a row for each true class.

    Those of several batches are added up. Pixels whose truth is 255 (void) do not count.

    Args:
        predicted: classes of pixels in [0, C), whole numbers of any shape.
        truth: of the same shape, in [0, C) or 255.
        num_classes: C, at most 255.

    Raises:
        ValueError: the shapes or devices differ, a tensor is no whole numbers, or a number is no class.

    Examples:
        >>> predicted, truth = torch.tensor([[0, 1], [1, 1]]), torch.tensor([[0, 1], [0, 255]])
        >>> pixel_confusion(predicted, truth, 2)
        tensor([[1, 1],
                [0, 1]])
    """
    check_count("num_classes", num_classes)
    if num_classes > VOID:
        raise UserError(f"num_classes must be at most {VOID}, which marks void pixels, got {num_classes}")
    for name, given in (("predicted", predicted), ("truth", truth)):
        if not isinstance(given, Tensor) or given.is_floating_point() or given.is_meta:
            kind = f"{given.dtype} on {given.device}" if isinstance(given, Tensor) else type(given).__name__
            raise UserError(f"{name} must be a tensor of whole numbers, the class of each pixel, got {kind}")
    if predicted.shape != truth.shape or predicted.device != truth.device:
        raise UserError(
            "predicted and truth must be of one shape on one device, got "
            f"{tuple(predicted.shape)} on {predicted.device} and {tuple(truth.shape)} on {truth.device}"
        )
    known = truth != VOID
    rows, columns = truth[known].long(), predicted[known].long()
    for name, numbers in (("predicted", columns), ("truth", rows)):
        wrong = numbers[(numbers < 0) | (numbers >= num_classes)]
        if len(wrong):
            raise UserError(
                f"{name}: expected classes from 0 to {num_classes - 1}, or {VOID} for void pixels of the "
                f"truth, got {int(wrong[0])}: number the classes from 0, or raise num_classes"
            )
    cells = rows * num_classes + columns
    return torch.bincount(cells, minlength=num_classes**2).view(num_classes, num_classes)


def class_ious(confusion: Tensor) -> Tensor:
    """``IoU_c = n_cc / (t_c + p_c - n_cc)`` of each class: pixels of c that are taken for it, over those that
    are of c (t) or taken for it (p). (C,) float64 in [0, 1], higher is better; NaN for a class that is
    neither.

    Args:
        confusion: (C, C) as :func:`pixel_confusion` counts.

    Raises:
        ValueError: another shape, negative counts or none at all.

    Examples:
        >>> class_ious(torch.tensor([[1, 1], [0, 1]]))
        tensor([0.5000, 0.5000], dtype=torch.float64)
    """
    counts = _counts(confusion)
    right = counts.diagonal()
    return right / (counts.sum(dim=0) + counts.sum(dim=1) - right)


def mean_iou(confusion: Tensor) -> float:
    """mIoU, the mean of :func:`class_ious` over the classes that occur in the truth or in the predictions.

    Args:
        confusion: (C, C) as :func:`pixel_confusion` counts, of all images together.

    Raises:
        ValueError: as for :func:`class_ious`.

    Source: Everingham et al., "The Pascal Visual Object Classes Challenge" (IJCV 2015). It is the Jaccard
    index of all pixels, not a mean over images.

    Examples:
        >>> mean_iou(torch.tensor([[1, 1], [0, 1]]))
        0.5
    """
    return class_ious(confusion).nanmean().item()


def mean_pixel_accuracy(confusion: Tensor) -> float:
    """mAcc, the mean of ``n_cc / t_c`` over the classes that occur in the truth: the share of each class's
    pixels that are taken for it.

    Args:
        confusion: (C, C) as :func:`pixel_confusion` counts, of all images together.

    Raises:
        ValueError: as for :func:`class_ious`.

    Source: Long et al., "Fully Convolutional Networks for Semantic Segmentation" (CVPR 2015).

    Examples:
        >>> mean_pixel_accuracy(torch.tensor([[1, 1], [0, 1]]))  # (1/2 + 1/1) / 2
        0.75
    """
    counts = _counts(confusion)
    return (counts.diagonal() / counts.sum(dim=1)).nanmean().item()


def _counts(confusion: Tensor) -> Tensor:
    """The same in float64, once it is known to be counts."""
    if not isinstance(confusion, Tensor) or confusion.is_meta or confusion.dtype != torch.int64:
        found = confusion.dtype if isinstance(confusion, Tensor) else type(confusion).__name__
        raise UserError(f"confusion must be int64 (C, C), as pixel_confusion counts, got {found}")
    if confusion.ndim != 2 or confusion.shape[0] != confusion.shape[1]:
        raise UserError(f"confusion must be (C, C), a row for each class, got {tuple(confusion.shape)}")
    if not confusion.numel() or bool((confusion < 0).any()) or not bool(confusion.any()):
        raise UserError("confusion must hold counts, at least one of them above 0: no pixel has a class")
    return confusion.double()
