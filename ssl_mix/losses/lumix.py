"""LUMix: how much of each class a mixed image shows is uncertain, so its label weight is perturbed.

Source: Sun et al., "LUMix: Improving Mixup by Better Modelling Label Uncertainty" (2022). Differs: the
regularizer's ``b`` is 1 at either class (the printed "and" would leave nothing); the network's opinion is
detached unless asked otherwise, because otherwise the label follows whatever class is already likelier;
normal draws are clipped to [0, 1].
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import check_not_negative, check_share
from ssl_mix.losses._common import Reduction, check_options
from ssl_mix.losses._pairs import IGNORED, Pairs, as_pairs, at_classes, check_ignore_index
from ssl_mix.losses.lumix_lam import Noise, lumix_lam
from ssl_mix.losses.mixup import smoothed


def lumix_regularizer(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    reduction: Reduction = "mean",
) -> Tensor:
    """``R = sum_k y_k max(0, b_k - p_k) = lam (1 - p_a) + (1 - lam) (1 - p_b)``: calibrates the network.

    ``y`` is the mixed label, ``p`` the softmax, and ``b`` is 1 at both classes and 0 elsewhere.

    Args:
        logits: (N, C) float, or (N, C, d1, ...) with labels (N, d1, ...); half precision is computed in
            float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a``, usually from :func:`lumix_lam`, (N,) or one number for all.
        weight: of each class, (C,) float.
        ignore_index: a label that counts nothing, as in :func:`ssl_mix.losses.mixup_cross_entropy`.
        reduction: "mean" with its denominator, "sum", or "none" for the (N,) values.

    Raises:
        ValueError: a shape, a dtype or the reduction is wrong.

    Examples:
        >>> lumix_regularizer(torch.zeros(1, 4), torch.tensor([0]), torch.tensor([1]), 0.7)  # 1 - 1/4
        tensor(0.7500)
    """
    check_options(reduction=reduction)
    check_ignore_index(ignore_index)
    pairs = as_pairs(logits, lam, weight, ignore_index, labels_a=labels_a, labels_b=labels_b)
    return pairs.reduce(regularizer(pairs, F.log_softmax(pairs.logits, dim=1)), reduction)


def regularizer(pairs: Pairs, log_p: Tensor) -> Tensor:
    """R of each row, (M,)."""
    return -(pairs.weighted(pairs.shares) * torch.expm1(at_classes(log_p, pairs.classes))).sum(1)


def lumix_cross_entropy(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    random_ratio: float = 0.4,
    score_ratio: float = 0.1,
    random_lam: Tensor | float | None = None,
    noise: Noise = "beta",
    alpha: float = 2.0,
    eta: float = 1.0,
    detach: bool = True,
    weight: Tensor | None = None,
    ignore_index: int = IGNORED,
    label_smoothing: float = 0.0,
    generator: torch.Generator | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """LUMix: mixup cross-entropy with the perturbed weight ``lam'`` of :func:`lumix_lam`, plus ``eta *
    R(lam')``.

    Args:
        logits: see :func:`lumix_lam`, as all arguments that are not explained.
        labels_a: as there.
        labels_b: as there.
        lam: as there.
        random_ratio: as there.
        score_ratio: as there.
        random_lam: as there.
        noise: as there.
        alpha: as there.
        eta: weight of :func:`lumix_regularizer`.
        detach: as there.
        weight: of each class, (C,) float.
        ignore_index: a label that counts nothing, as in :func:`ssl_mix.losses.mixup_cross_entropy`.
        label_smoothing: share of the cross-entropy's target that is spread over all classes.
        generator: as there.
        reduction: "mean" with the denominator of ``mixup_cross_entropy``, "sum", or "none" for the (N,)
            losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Examples:
        >>> a, b = torch.tensor([0]), torch.tensor([1])
        >>> lumix_cross_entropy(torch.zeros(1, 4), a, b, 0.7, random_lam=0.2)  # log 4 + 3/4
        tensor(2.1363)
    """
    check_not_negative("eta", eta)
    check_share("label_smoothing", label_smoothing)
    check_options(reduction=reduction)
    lam = lumix_lam(
        logits,
        labels_a,
        labels_b,
        lam,
        random_ratio=random_ratio,
        score_ratio=score_ratio,
        random_lam=random_lam,
        noise=noise,
        alpha=alpha,
        detach=detach,
        ignore_index=ignore_index,
        generator=generator,
    )
    pairs = as_pairs(logits, lam, weight, ignore_index, labels_a=labels_a, labels_b=labels_b)
    return pairs.reduce(lumix_values(pairs, weight, label_smoothing, eta), reduction)


def lumix_values(pairs: Pairs, weight: Tensor | None, label_smoothing: float, eta: float) -> Tensor:
    """Cross-entropy with the shares as they are, and the regularizer, of each row, (M,)."""
    log_p = F.log_softmax(pairs.logits, dim=1)
    hard = -(pairs.weighted(pairs.shares) * at_classes(log_p, pairs.classes)).sum(1)
    return smoothed(hard, pairs, weight, label_smoothing, log_p) + eta * regularizer(pairs, log_p)
