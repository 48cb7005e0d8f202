"""One number that makes a network as sure as it is right."""

import math
from typing import NamedTuple

from torch import Tensor

from ssl_mix.errors import counts_of
from ssl_mix.evaluation.accuracy import check_predictions
from ssl_mix.evaluation.confidence import row_chunks
from ssl_mix.evaluation.confusion import check_finite
from ssl_mix.imported import imported

LEAST, MOST = 0.01, 100.0


class Temperature(NamedTuple):
    """What logits are divided by before the softmax.

    Attributes:
        value: above 1 for a network that is too sure of itself.
        note: why it is not the minimum of the loss, which is then beyond all bounds; else empty.

    Examples:
        >>> Temperature(1.5).note
        ''
    """

    value: float
    note: str = ""


def fit_temperature(logits: Tensor, labels: Tensor) -> Temperature:
    """The temperature T that minimizes the cross-entropy of ``softmax(logits / T)`` against the labels, in
    [0.01, 100] (Guo et al., On calibration of modern neural networks, 2017).

    The loss is convex in ``1 / T``, so that where its slope is 0 is the one minimum; it is found to full
    precision, where published codes take some steps of LBFGS in T from 1.5. Fit it on images that the network
    was not trained on. The predicted classes stay as they are.

    Args:
        logits: (N, C), of any float type and on any device.
        labels: (N,) int64 in [0, C).

    Returns:
        The temperature. Where all images are right, the loss falls with T without end: then it is 0.01, and
        the note says so. Where the logits are no better than equal ones, it is 100; where they all are equal,
        1.

    Raises:
        ValueError: they are not finite, or no labels for them.

    Examples:
        >>> logits, labels = torch.tensor([[0.0, 4.0]]).repeat(4, 1), torch.tensor([1, 1, 1, 0])
        >>> round(fit_temperature(logits, labels).value, 4)  # softmax([0, 4 / T]) = [1 / 4, 3 / 4]: 4 / log 3
        3.641
    """
    check_predictions(logits, labels, "logits")
    check_finite(logits, "logits")
    count = len(labels)
    above, below = _over_label(logits, labels)
    if not above and not below:
        return Temperature(1.0, "the logits of each image are all equal: every temperature gives the same")
    if not above:
        why = (
            f"each of {counts_of(count, 'image')} is right, so the loss falls without end as the temperature "
            "does"
        )
        return Temperature(LEAST, f"{why}: {LEAST} is as low as it goes; fit it on more images")
    if _slope(logits, labels, 1 / MOST) >= 0:
        why = f"the logits say no more of the labels of {counts_of(count, 'image')} than equal ones would"
        return Temperature(MOST, f"{why}: {MOST:g} is as high as it goes")
    if _slope(logits, labels, 1 / LEAST) <= 0:
        return Temperature(LEAST, f"the best temperature is below {LEAST}, which is as low as it goes")
    bounds = -math.log(MOST), -math.log(LEAST)
    found = imported("scipy.optimize").brentq(
        lambda place: _slope(logits, labels, math.exp(place)), *bounds, xtol=1e-12
    )
    return Temperature(math.exp(-found))


def _over_label(logits: Tensor, labels: Tensor) -> tuple[bool, bool]:
    """Whether any logit is above that of its label, and whether any is below."""
    gaps = [(gap.max(), gap.min()) for gap in (_gaps(logits, labels, rows) for rows in row_chunks(logits))]
    return any(float(most) > 0 for most, _ in gaps), any(float(least) < 0 for _, least in gaps)


def _slope(logits: Tensor, labels: Tensor, sharpness: float) -> float:
    """The derivative of the mean cross-entropy by 1 / T, there: mean of ``sum_c p_c (z_c - z_label)``."""
    total = 0.0
    for rows in row_chunks(logits):
        gaps = _gaps(logits, labels, rows)
        total += float(((gaps * sharpness).softmax(dim=1) * gaps).sum())
    return total / len(labels)


def _gaps(logits: Tensor, labels: Tensor, rows: slice) -> Tensor:
    """By how much each logit is above that of its label, (n, C) float64."""
    part = logits[rows].detach().double()
    return part - part.gather(1, labels[rows].to(part.device)[:, None])
