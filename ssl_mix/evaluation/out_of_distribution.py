"""Whether a network knows images of no class when it sees them."""

from collections.abc import Callable

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.evaluation.confidence import row_chunks
from ssl_mix.evaluation.confusion import check_finite
from ssl_mix.imported import imported


def max_softmax(logits: Tensor) -> Tensor:
    """The largest probability, ``max_c softmax(logits)_c``: a score (N,) float64 that is higher for images
    like those of the classes (Hendrycks and Gimpel, A baseline for detecting misclassified and
    out-of-distribution examples, 2017).

    Args:
        logits: (N, C), of any float type and on any device.

    Raises:
        ValueError: they have another shape or type, or are not finite.

    Examples:
        >>> max_softmax(torch.tensor([[0.0, 0.0], [9.0, 0.0]]))
        tensor([0.5000, 0.9999], dtype=torch.float64)
    """
    return _scores(logits, lambda part: 1 / (part - part.amax(dim=1, keepdim=True)).exp().sum(dim=1))


def max_logit(logits: Tensor) -> Tensor:
    """The largest logit, ``max_c logits_c``: a score (N,) float64 that is higher for images like those of the
    classes (Hendrycks et al., Scaling out-of-distribution detection for real-world settings, 2022).

    Args:
        logits: (N, C), of any float type and on any device.

    Raises:
        ValueError: they have another shape or type, or are not finite.

    Examples:
        >>> max_logit(torch.tensor([[0.0, 0.0], [9.0, 0.0]]))
        tensor([0., 9.], dtype=torch.float64)
    """
    return _scores(logits, lambda part: part.amax(dim=1))


def energy(logits: Tensor) -> Tensor:
    """The negative free energy, ``log sum_c exp(logits_c)``: a score (N,) float64 that is higher for images
    like those of the classes (Liu et al., Energy-based out-of-distribution detection, 2020, with T = 1).
    Their energy has the other sign.

    Args:
        logits: (N, C), of any float type and on any device.

    Raises:
        ValueError: they have another shape or type, or are not finite.

    Examples:
        >>> energy(torch.tensor([[0.0, 0.0], [9.0, 0.0]]))
        tensor([0.6931, 9.0001], dtype=torch.float64)
    """
    return _scores(logits, lambda part: part.logsumexp(dim=1))


def ood_metrics(in_scores: Tensor, out_scores: Tensor) -> dict[str, float]:
    """How well scores tell images like those of the classes from others; a higher score means more of the
    classes.

    Equal scores count as what they are: half a pair in the AUROC, one step of the curve in the AUPR.

    Args:
        in_scores: (N,) floats of images of the classes.
        out_scores: (M,) floats of others.

    Returns:
        ``auroc``: the share of pairs whose image of a class has the higher score; 0.5 by chance, 1 is best.
        ``aupr_in``: average precision of finding images of the classes; N / (N + M) by chance, 1 is best.
        ``aupr_out``: that of finding the others by a low score; M / (N + M) by chance, 1 is best. The AUPR
        of ImageNet-O, as LUMix reports it.
        ``fpr95``: share of the others that has a score at or above that which 95 % of the images of classes
        reach; 0.95 by chance, 0 is best. Codes of outlier exposure take the others for the positives there,
        which is another number.

    Raises:
        ValueError: one of them has another shape or type, is empty or not finite.

    Examples:
        >>> ood_metrics(torch.tensor([0.9, 0.6]), torch.tensor([0.7, 0.1]))["auroc"]  # 3 of 4 pairs
        0.75
    """
    for name, scores in (("in_scores", in_scores), ("out_scores", out_scores)):
        _check_floats(scores, name, 1)
        if not len(scores):
            raise UserError(f"{name} is empty: there is nothing to tell apart")
    inside, outside = (scores.detach().double().cpu() for scores in (in_scores, out_scores))
    both = torch.cat((inside, outside)).numpy()
    known = torch.arange(len(both)).numpy() < len(inside)
    metrics = imported("sklearn.metrics")
    reached = inside.sort(descending=True).values[-(-95 * len(inside) // 100) - 1]
    return {
        "auroc": float(metrics.roc_auc_score(known, both)),
        "aupr_in": float(metrics.average_precision_score(known, both)),
        "aupr_out": float(metrics.average_precision_score(~known, -both)),
        "fpr95": float((outside >= reached).double().mean()),
    }


def _scores(logits: Tensor, of: Callable[[Tensor], Tensor]) -> Tensor:
    """A score of each row, (N,) float64: in float32 all sure images would have a probability of 1."""
    _check_floats(logits, "logits", 2)
    found = [torch.empty(0, dtype=torch.float64, device=logits.device)]
    return torch.cat([*found, *(of(logits[rows].detach().double()) for rows in row_chunks(logits))])


def _check_floats(given: Tensor, name: str, axes: int) -> None:
    shape = "(N, C)" if axes == 2 else "(N,)"
    if not isinstance(given, Tensor):
        raise UserError(f"{name} must be a tensor, got {type(given).__name__}")
    if given.ndim != axes or not given.is_floating_point() or given.is_meta or 0 in given.shape[1:]:
        found = f"{given.dtype} {tuple(given.shape)} on {given.device.type}"
        raise UserError(f"expected {name} float {shape}, got {found}")
    if len(given):
        check_finite(given, name)
