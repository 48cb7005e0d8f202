"""Cross-entropy with two labels: the loss that Mixup and CutMix are usually trained with."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.losses._common import Reduction, check_labels, reduce, weight_like
from ssl_mix.passes import full_precision


def mixup_cross_entropy(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """Mixup cross-entropy (MCE): ``-[lam log p_a + (1 - lam) log p_b]`` with ``p = softmax(logits)``.

    Equal to soft-label cross-entropy with ``lam * onehot(a) + (1 - lam) * onehot(b)``, without building it.

    Args:
        logits: (N, C) float; half precision is computed in float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a`` in [0, 1], (N,) or one number for all.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or the reduction is wrong.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization" (ICLR 2018).

    Examples:
        >>> logits = torch.tensor([[0.5, 0.25, 0.25]]).log()
        >>> mixup_cross_entropy(logits, torch.tensor([0]), torch.tensor([1]), 0.5)  # 1.5 log 2
        tensor(1.0397)
    """
    logits = full_precision(logits)
    check_labels(logits, labels_a=labels_a, labels_b=labels_b)
    lam = weight_like("lam", lam, logits)
    log_p = F.log_softmax(logits, dim=1).gather(1, torch.stack((labels_a, labels_b), dim=1))
    return reduce(-(lam * log_p[:, 0] + (1 - lam) * log_p[:, 1]), reduction)
