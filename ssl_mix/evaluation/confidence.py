"""How sure class probabilities are, and whether they are right: what measures of calibration are made of."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.evaluation.accuracy import check_predictions

ELEMENTS = 2**22  # of a table that are copied at once
ROUNDING = 0.01  # by which a row of bfloat16 may miss the sum of 1


def row_chunks(table: Tensor) -> Iterator[slice]:
    """Rows of a table (N, C), so many at a time that a copy of them is small."""
    rows = max(1, ELEMENTS // max(1, table.shape[1]))
    return (slice(start, start + rows) for start in range(0, len(table), rows))


def check_probabilities(probs: Tensor, labels: Tensor) -> None:
    """Raise unless ``probs`` (N, C) are probabilities whose rows sum to 1, for labels (N,)."""
    check_predictions(probs, labels, "probs")
    for rows in row_chunks(probs):
        part = probs[rows].detach().double()
        wrong = ~((part >= 0) & (part <= 1)).all(dim=1) | ((part.sum(dim=1) - 1).abs() > ROUNDING)
        if wrong.any():
            first = rows.start + int(wrong.nonzero()[0, 0])
            raise UserError(
                f"expected probs in [0, 1] that sum to 1 in each row, got a row that does not at position "
                f"{first}: take the softmax of logits"
            )


def confidences(probs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The largest probability of each image and whether it is at its label (1 or 0), from the least to the
    most confident: two times (N,) float64 on the CPU.

    Images of one confidence have no order among each other, so each of them counts with the share of them
    that is right: no measure depends on the order in which they came.

    Args:
        probs: (N, C), of any float type and on any device.
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: they are no probabilities, or no labels for them.
    """
    check_probabilities(probs, labels)
    largest = [probs[rows].detach().double().max(dim=1) for rows in row_chunks(probs)]
    right = torch.cat([at for _, at in largest]) == labels.to(probs.device)
    confidence, order = torch.cat([values for values, _ in largest]).cpu().sort()
    differs = confidence[1:] != confidence[:-1]
    group = torch.cat((differs.new_zeros(1), differs)).cumsum(0)
    hits = torch.bincount(group, weights=right.cpu().double()[order])
    return confidence, (hits / torch.bincount(group))[group]
