"""Whether a transformer looks at the object: its attention as a mask or a box, against true ones."""

import numpy as np
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.evaluation.values import check_values
from ssl_mix.imported import imported


def attention_masks(attention: Tensor, mass: float = 0.6) -> Tensor:
    """The fewest patches that hold ``mass`` of the attention.

    Args:
        attention: to patches, (..., T), not negative: of :func:`ssl_mix.mixers.capture_class_attention`.
        mass: share of its sum to keep, in (0, 1].

    Returns:
        bool (..., T); nowhere True where there is no attention.

    Raises:
        ValueError: negative attention, or a mass beyond (0, 1].

    Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers" (DINO, 2021), whose
    share is 0.6, and Naseer et al., "Intriguing Properties of Vision Transformers" (2021), whom table 5 of
    LUMix (2022) follows.

    Examples:
        >>> attention_masks(torch.tensor([0.5, 0.1, 0.3, 0.1]), mass=0.6)
        tensor([ True, False,  True, False])
    """
    check_values(attention=attention)
    if attention.ndim == 0 or not ((attention >= 0) & attention.isfinite()).all():
        raise UserError("attention must be (..., T), finite and not negative")
    if not 0 < mass <= 1:
        raise UserError(f"mass must lie in (0, 1], got {mass}")
    values, order = attention.double().sort(dim=-1, descending=True, stable=True)
    before = values.cumsum(dim=-1) - values
    wanted = mass * values.sum(dim=-1, keepdim=True)
    kept = (before < wanted - 1e-12) & (values > 0)
    return torch.zeros_like(kept).scatter(-1, order, kept)


def jaccard_index(masks: Tensor, truth: Tensor, ignored: Tensor | None = None) -> Tensor:
    """``|A and B| / |A or B|`` of each pair of masks: 0 where they have no pixel in common, 1 where they are
    the same, also if both are empty.

    Args:
        masks: bool (N, H, W).
        truth: bool (N, H, W).
        ignored: bool (N, H, W): pixels that do not count, as the rims of objects in Pascal VOC.

    Returns:
        (N,) float64.

    Raises:
        ValueError: shapes or dtypes differ.

    Examples:
        >>> masks, truth = torch.tensor([[[True, True, False]]]), torch.tensor([[[False, True, True]]])
        >>> jaccard_index(masks, truth)
        tensor([0.3333], dtype=torch.float64)
    """
    _check_masks(masks, truth, *(() if ignored is None else (ignored,)))
    ignored = torch.zeros_like(masks) if ignored is None else ignored
    both = (masks & truth & ~ignored).sum(dim=(1, 2)).double()
    either = ((masks | truth) & ~ignored).sum(dim=(1, 2)).double()
    return torch.where(either > 0, both / either, 1.0)


def boxes_of_masks(masks: Tensor) -> Tensor:
    """The box around the largest connected part of each mask.

    Args:
        masks: bool (N, H, W); pixels with a common edge are connected. Of parts of one size the first counts.

    Returns:
        (N, 4) int64: left, top, right and bottom in pixels, the last two just beyond the box; zeros for an
        empty mask.

    Raises:
        ValueError: another shape or dtype.

    Examples:
        >>> boxes_of_masks(torch.tensor([[[False, True, True], [True, False, True]]]))
        tensor([[1, 0, 3, 2]])
    """
    _check_masks(masks)
    ndimage = imported("scipy.ndimage")
    boxes = torch.zeros((len(masks), 4), dtype=torch.int64)
    for place, mask in enumerate(masks.cpu().numpy()):
        parts, count = ndimage.label(mask)
        if count:
            largest = int(np.bincount(parts.ravel())[1:].argmax())
            rows, columns = ndimage.find_objects(parts)[largest]
            boxes[place] = torch.tensor([columns.start, rows.start, columns.stop, rows.stop])
    return boxes


def box_iou(boxes: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of each pair of boxes, in [0, 1]; 0 where both are empty.

    Args:
        boxes: (N, 4): left, top, right and bottom.
        truth: (N, 4).

    Returns:
        (N,) float64.

    Raises:
        ValueError: other shapes.

    Examples:
        >>> box_iou(torch.tensor([[0, 0, 2, 2]]), torch.tensor([[1, 0, 3, 2]]))
        tensor([0.3333], dtype=torch.float64)
    """
    check_values(whole=True, boxes=boxes, truth=truth)
    if boxes.shape != truth.shape or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise UserError(f"boxes must be (N, 4) alike, got {tuple(boxes.shape)} and {tuple(truth.shape)}")
    first, second = boxes.double(), truth.double()
    if not (first.isfinite().all() and second.isfinite().all()):
        raise UserError("boxes must be finite, got edges that are not")
    corner = torch.minimum(first[:, 2:], second[:, 2:]) - torch.maximum(first[:, :2], second[:, :2])
    common = corner.clamp(min=0).prod(dim=1)
    areas = [(box[:, 2:] - box[:, :2]).clamp(min=0).prod(dim=1) for box in (first, second)]
    union = areas[0] + areas[1] - common
    return torch.where(union > 0, common / union, 0.0)


def _check_masks(*masks: Tensor) -> None:
    for given in masks:
        if not isinstance(given, Tensor) or given.is_meta:
            kind = "one without values" if isinstance(given, Tensor) else type(given).__name__
            raise UserError(f"masks must be bool tensors (N, H, W), got {kind}")
        if given.dtype != torch.bool or given.ndim != 3 or given.shape != masks[0].shape:
            raise UserError(f"masks must be bool (N, H, W) alike, got {given.dtype} {tuple(given.shape)}")
