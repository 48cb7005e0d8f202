"""Choose points that lie apart: each with a probability that grows with its squared distance to those before
it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.errors import check_count
from ssl_mix.labeling.checks import check_features, check_known

CHUNK = 4096
Squared = Callable[[int], Tensor]


class Chosen(NamedTuple):
    """Points in the order in which they were chosen.

    Attributes:
        indices: (n,) int64, each once.
        scores: of each, (n,): the higher, the rather it was chosen.
    """

    indices: Tensor
    scores: Tensor


def diverse(
    features: Tensor, count: int, *, known: Tensor | None = None, generator: torch.Generator | None = None
) -> Chosen:
    """``count`` images that lie apart from each other, and from those that are known, by k-means++.

    The score is the distance of an image to the nearest one that is known or was chosen before it.

    Args:
        features: (N, D) float.
        count: n; all N images where they are fewer.
        known: features (M, D) of images that are labeled already; default: none, and the first image is drawn
            evenly.
        generator: of the draws.

    Raises:
        ValueError: features are not finite (N, D) floats, or known ones not of the same width.

    Source: Arthur and Vassilvitskii, "k-means++: The Advantages of Careful Seeding" (SODA 2007).

    Examples:
        >>> found = diverse(torch.tensor([[0.0], [0.0], [9.0]]), 2, known=torch.zeros(1, 1))
        >>> found.indices[0], found.scores[0]
        (tensor(2), tensor(9.))
    """
    check_features(features)
    if known is not None:
        check_known(known, features)

    def squared(point: int) -> Tensor:
        return distances(features, features[point : point + 1])[:, 0].square()

    if known is None or len(known) == 0:
        first = int(torch.randint(max(1, len(features)), (), generator=generator))
        return spread_out(squared, features.new_zeros(len(features)), count, first=first, generator=generator)
    parts = [distances(part, known).amin(dim=1) for part in torch.split(features, CHUNK)]
    return spread_out(squared, torch.cat(parts).square(), count, generator=generator)


def spread_out(
    squared: Squared,
    nearest: Tensor,
    count: int,
    *,
    first: int | None = None,
    generator: torch.Generator | None = None,
) -> Chosen:
    """k-means++ by any distance, of which one column at a time is needed.

    Where all that is left coincides with what is chosen, the next is drawn evenly.

    Args:
        squared: the squared distances (N,) of all points to one of them.
        nearest: squared distance of each to the nearest that is known, (N,); the score of the ``first``.
        count: n; all N points where they are fewer.
        first: to choose first, before which nothing is known; default: it is drawn as the others are.
        generator: of the draws, on the CPU.
    """
    check_count("count", count)
    nearest = nearest.double().clone()
    free = torch.ones(len(nearest), dtype=torch.bool, device=nearest.device)
    indices: list[int] = []
    scores: list[float] = []
    while len(indices) < min(count, len(nearest)):
        begins = first is not None and not indices
        point = first if begins and first is not None else draw(nearest * free, free, generator)
        indices.append(point)
        scores.append(nearest[point].sqrt().item())
        free[point] = False
        found = squared(point).double().clamp(min=0)
        nearest = found if begins else torch.minimum(nearest, found)
    return Chosen(torch.tensor(indices, dtype=torch.int64), torch.tensor(scores, dtype=torch.float32))


def draw(weights: Tensor, free: Tensor, generator: torch.Generator | None) -> int:
    """A position drawn by weights (N,), or evenly among the free ones (N,) where all weights are zero."""
    weights = weights if bool(weights.sum() > 0) else free.double()
    sums = weights.cumsum(dim=0)
    at = torch.rand((), dtype=torch.float64, generator=generator).to(sums.device) * sums[-1]
    place = int(torch.searchsorted(sums, at, right=True))
    return min(place, int(weights.nonzero()[-1]))  # rounding may lead behind the last


def distances(features: Tensor, others: Tensor) -> Tensor:
    """Euclidean distances (N, M) of features (N, D) to others (M, D), exactly 0 for equal ones."""
    return torch.cdist(features.float(), others.float(), compute_mode="donot_use_mm_for_euclid_dist")
