"""Pseudo group contrast: a query should resemble all keys of its class, its own key among them, and no
others."""

import math

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_positive
from ssl_mix.losses._common import Reduction, check_floats, check_labels, reduce
from ssl_mix.losses._pairs import named_classes
from ssl_mix.passes import full_precision


def group_contrast(
    query: Tensor,
    key: Tensor,
    queue: Tensor,
    labels: Tensor,
    *,
    temperature: float = 0.07,
    reduction: Reduction = "mean",
) -> Tensor:
    """PGC: ``KL(target || softmax(logits))``, the target even over the D + 1 logits of the class, 0
    elsewhere.

    Logits are cosines over ``temperature``: of the query with its own key, and with all D C keys of the
    queue. In closed form ``logsumexp(all 1 + D C logits) - mean(the D + 1 positive ones) - log(D + 1)``, from
    one matrix product.

    Args:
        query: normalized features, (N, E) float; half precision is computed in float32.
        key: normalized features of another view of the same images, (N, E), without gradient.
        queue: normalized keys of each class, (C, D, E), as they were before this batch.
        labels: classes, true or pseudo-labels, (N,) int64.
        temperature: tau, above 0.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Source: Wang et al., "Self-Tuning for Data-Efficient Deep Learning" (ICML 2021), equations 3 to 5, whose
    code loops over the samples.

    Examples:
        >>> query = key = torch.tensor([[1.0, 0.0]])
        >>> queue = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]])  # two classes of one key
        >>> group_contrast(query, key, queue, torch.tensor([0]), temperature=1.0)  # log(2 e + 1) - 1 - log 2
        tensor(0.1688)
    """
    check_positive("temperature", temperature)
    check_floats(query=query, key=key, queue=queue)
    query = full_precision(query)
    check_labels(query, labels=labels)
    if key.shape != query.shape or queue.ndim != 3 or queue.shape[2] != query.shape[1]:
        raise UserError(
            f"expected query and key (N, E) and queue (C, D, E), got {tuple(query.shape)}, "
            f"{tuple(key.shape)} "
            f"and {tuple(queue.shape)}"
        )
    classes, depth, _ = queue.shape
    with torch.autocast(query.device.type, enabled=False):
        own = (query * key.to(query.dtype)).sum(dim=1, keepdim=True) / temperature
        others = query @ queue.to(query.dtype).flatten(0, 1).T / temperature
    chosen = labels[:, None, None].expand(-1, 1, depth)
    if depth == 0 or classes == 0:
        raise UserError(f"queue must hold a key of each class, got {tuple(queue.shape)}")
    found: Tensor = named_classes(_gather, others.view(-1, classes, depth), chosen)
    positive = found.sum(dim=(1, 2))
    mean = (own[:, 0] + positive) / (depth + 1)
    values = torch.logsumexp(torch.cat((own, others), dim=1), dim=1) - mean - math.log(depth + 1)
    return reduce(values, reduction)


def _gather(values: Tensor, classes: Tensor) -> Tensor:
    return values.gather(1, classes)
