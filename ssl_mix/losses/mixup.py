"""Cross-entropy with two labels: the loss that Mixup and CutMix are usually trained with."""

import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import check_share
from ssl_mix.losses._common import Reduction
from ssl_mix.losses._pairs import IGNORED, Pairs, as_pairs, at_classes, check_ignore_index, class_weights


def mixup_cross_entropy(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mixup cross-entropy (MCE): ``-[lam log p_a + (1 - lam) log p_b]`` with ``p = softmax(logits)``.

    Equal to soft-label cross-entropy with ``lam * onehot(a) + (1 - lam) * onehot(b)``, without building it,
    and to ``torch.nn.functional.cross_entropy`` of ``labels_a`` where lam is 1, with every option.

    Args:
        logits: (N, C) float, or (N, C, d1, ...) with labels (N, d1, ...); half precision is computed in
            float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a`` in [0, 1], (N,) or one number for all.
        weight: of each class, (C,) float.
        ignore_index: a label that counts nothing. A pair of which one label is ignored is an unmixed image of
            the other class that counts by that class's share.
        label_smoothing: share of the target that is spread over all classes.
        reduction: "mean", which divides by the sum of the shares and class weights that count: by N where
            there are no class weights and no ignored labels; "sum"; or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or the reduction is wrong.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization" (ICLR 2018).

    Examples:
        >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
        >>> mixup_cross_entropy(logits, torch.tensor([0]), torch.tensor([1]), 0.5)  # 1.5 log 2
        tensor(1.0397)
    """
    check_ignore_index(ignore_index)
    check_share("label_smoothing", label_smoothing)
    pairs = as_pairs(logits, lam, weight, ignore_index, labels_a=labels_a, labels_b=labels_b)
    log_p = F.log_softmax(pairs.logits, dim=1)
    values = -(pairs.weighted(pairs.shares) * at_classes(log_p, pairs.classes)).sum(1)
    return pairs.reduce(smoothed(values, pairs, weight, label_smoothing, log_p), reduction)


def smoothed(
    values: Tensor, pairs: Pairs, weight: Tensor | None, smoothing: float, log_p: Tensor | None = None
) -> Tensor:
    """Values (M,) of hard labels with ``smoothing`` of the target spread over the classes: ``values +
    smoothing * (kept * mean_c(-w_c log p_c) - hard)``."""
    if smoothing == 0:
        return values
    log_p = F.log_softmax(pairs.logits, dim=1) if log_p is None else log_p
    hard = -(pairs.weighted(pairs.shares) * at_classes(log_p, pairs.classes)).sum(1)
    spread = log_p if weight is None else log_p * class_weights(weight, log_p)
    return values - smoothing * (pairs.of_kept(spread.mean(1)) + hard)
