"""Labels that are no class, and positions that are none, are refused wherever they come in."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ssl_mix.errors import UserError


def check_label_range(labels: Tensor, num_classes: int, where: str, *, unknown: bool) -> None:
    """Raise unless labels (N,) are positions among C classes: one that is none would be wrong in silence.

    Args:
        labels: whole numbers.
        num_classes: C.
        where: whose labels they are, for messages.
        unknown: whether -1 is allowed too.

    Raises:
        ValueError: a label is none of them; names it and where it first is.
    """
    wrong = ((labels < -int(unknown)) | (labels >= num_classes)).nonzero()
    if not len(wrong):
        return
    first = int(wrong[0, 0])
    expected = f"0 to {num_classes - 1} ({num_classes} classes)" + (
        ", or -1 where unknown" if unknown else ""
    )
    found = int(labels[first])
    remedy = (
        "leave out images without a label"
        if found == -1
        else "number the classes from 0, or name more of them"
    )
    raise UserError(
        f"{where}: expected labels from {expected}, got {found} at position {first}, and {len(wrong)} such "
        f"in all: {remedy}"
    )


def check_labels(labels: object) -> None:
    """Raise unless labels are one-dimensional int64 on the CPU."""
    if not isinstance(labels, Tensor):
        raise UserError(
            f"labels must be a tensor of int64, got {type(labels).__name__}: torch.tensor(...) makes one"
        )
    if labels.dtype != torch.int64 or labels.device.type != "cpu" or labels.ndim != 1:
        raise UserError(
            "labels must be one-dimensional int64 on the CPU, got "
            f"{labels.ndim} dimensions of {labels.dtype} on {labels.device}"
        )


def positions_in(given: Tensor | Sequence[int], name: str) -> Tensor:
    """Positions (N,), called ``name``, as int64 on the CPU.

    Raises:
        ValueError: they are none.
    """
    try:
        found = torch.as_tensor(given)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{name} must be whole numbers (N,), got {type(given).__name__} ({error})") from error
    whole = not (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool)
    if found.ndim != 1 or found.is_meta or not (whole or not len(found)):
        raise UserError(
            f"{name} must be whole numbers (N,), got {found.dtype} {tuple(found.shape)} on {found.device}"
        )
    return found.to("cpu", torch.int64)
