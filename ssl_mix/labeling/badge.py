"""Images that would change the last layer most, and in different ways."""

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.labeling.checks import check_features, check_probabilities
from ssl_mix.labeling.k_means_plus_plus import Chosen, distances, spread_out


def badge(
    features: Tensor, probabilities: Tensor, count: int, *, generator: torch.Generator | None = None
) -> Chosen:
    """``count`` images by k-means++ over gradient embeddings ``g_i = (p_i - y_i) f_i^T``, with ``y_i`` the
    likeliest class: the gradient of the cross entropy in the weights of the last layer, had the classifier
    been right.

    As in the authors' code the first image has the longest embedding. The score is the distance of an
    embedding to the nearest one that was chosen before it, of the first its length. No embedding (C D) is
    made: with ``a_i = p_i - y_i``,
    ``|g_i - g_j|^2 = |a_i - a_j|^2 |f_i|^2 + |a_j|^2 |f_i - f_j|^2 + 2 ((a_i - a_j) a_j) (f_i (f_i - f_j))``.

    Args:
        features: what the last layer reads, (N, D) float.
        probabilities: what it says, (N, C).
        count: n; all N images where they are fewer.
        generator: of the draws.

    Raises:
        ValueError: a shape or a value is wrong.

    Source: Ash et al., "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (ICLR 2020).
    """
    check_features(features)
    check_probabilities(probabilities)
    if len(features) != len(probabilities):
        raise UserError(
            f"expected as many probabilities as features, got {len(probabilities)} and {len(features)}"
        )
    f, a = features.float(), residuals(probabilities.float())
    lengths, sizes = f.square().sum(dim=1), a.square().sum(dim=1)

    def squared(j: int) -> Tensor:
        apart = sizes[j] * distances(f, f[j : j + 1])[:, 0].square()
        apart += lengths * distances(a, a[j : j + 1])[:, 0].square()
        return apart + 2 * (a @ a[j] - sizes[j]) * (lengths - f @ f[j])

    norms = lengths * sizes
    first = int(norms.argmax()) if len(norms) else None
    return spread_out(squared, norms, count, first=first, generator=generator)


def residuals(probabilities: Tensor) -> Tensor:
    """``p_i - y_i`` with the likeliest class of each for ``y_i``, one-hot, (N, C)."""
    likeliest = probabilities.argmax(dim=1, keepdim=True)
    return probabilities.scatter_add(1, likeliest, -torch.ones_like(likeliest, dtype=probabilities.dtype))
