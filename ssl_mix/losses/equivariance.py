"""Semantic equivariance: what the network sees in a mixed image is the mixture of what it sees in the two."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from ssl_mix.errors import UserError, check_choice
from ssl_mix.losses._common import Reduction, check_floats, check_shares, reduce, weight_like

Distance = Literal["mse", "l1", "cosine"]


def _flat(name: str, features: Tensor, mixed: Tensor) -> Tensor:
    """Features (N, ...) as (N, D) in float32, or in float64 where they are."""
    if features.ndim < 2 or features.shape != mixed.shape or not features.is_floating_point():
        raise UserError(
            f"{name} must be float features {tuple(mixed.shape)} like mixed, with at least two axes, "
            f"got {features.dtype} {tuple(features.shape)}"
        )
    features = features.flatten(1)
    return features if features.dtype.itemsize == 8 else features.float()


def semantic_equivariance(
    mixed: Tensor,
    clean_a: Tensor,
    clean_b: Tensor,
    lam: Tensor | float,
    *,
    distance: Distance = "mse",
    stop_grad_clean: bool = False,
    reduction: Reduction = "mean",
) -> Tensor:
    """sem: distance of ``f(mixed)`` from ``lam f(a) + (1 - lam) f(b)``, with ``f`` the features before the
    classifier.

    Args:
        mixed: features of the mixed images, (N, D) or (N, ...) float; half precision is computed in float32.
        clean_a: features of the base images, like ``mixed``.
        clean_b: features of their partners, like ``mixed``; a permutation of ``clean_a`` where partners are
            from the batch.
        lam: share of the base images in [0, 1], (N,) or one number for all.
        distance: "mse": squared difference, "l1": absolute difference, each the mean over dimensions;
            "cosine": 1 - cosine.
        stop_grad_clean: the features of clean images get no gradient.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) distances.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Source: Han et al., "Semantic Equivariant Mixup" (2023). The distance and the gradient are options because
    the paper's text leaves them open.

    Examples:
        >>> a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
        >>> semantic_equivariance(torch.tensor([[1.0, 1.0]]), a, b, 0.5)
        tensor(0.)
        >>> semantic_equivariance(torch.tensor([[1.0, 1.0]]), a, b, 1.0)  # ((1 - 2)^2 + 1^2) / 2
        tensor(1.)
    """
    check_choice("distance", distance, ("mse", "l1", "cosine"))
    check_floats(mixed=mixed, clean_a=clean_a, clean_b=clean_b)
    seen, first, second = (
        _flat(name, features, mixed)
        for name, features in (("mixed", mixed), ("clean_a", clean_a), ("clean_b", clean_b))
    )
    weight = weight_like("lam", lam, seen).view(-1, 1)
    check_shares("lam", weight)
    wanted = weight * first + (1 - weight) * second
    if stop_grad_clean:
        wanted = wanted.detach()
    if distance == "cosine":
        return reduce(1 - F.cosine_similarity(seen, wanted, dim=1), reduction)
    difference = seen - wanted
    return reduce((difference.square() if distance == "mse" else difference.abs()).mean(dim=1), reduction)
