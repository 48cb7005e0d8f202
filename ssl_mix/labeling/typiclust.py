"""Typical images of every cluster: what to label first, when little or nothing is labeled."""

import warnings

import torch
from torch import Tensor

from ssl_mix.errors import check_count, check_seed
from ssl_mix.imported import imported
from ssl_mix.labeling.checks import check_features, check_known
from ssl_mix.labeling.k_means_plus_plus import Chosen, distances

NEIGHBORS = 20
MOST_CLUSTERS = 500
SMALL_CLUSTER = 5  # images: clusters of no more are passed over
WHOLE, BATCH = 50, 5000  # clusters up to which k-means sees all images at once; else images at a time
ROWS = 1024


def typiclust(features: Tensor, count: int, *, known: Tensor | None = None, seed: int = 0) -> Chosen:
    """``count`` images, each the most typical one of a cluster that holds few known images.

    All images, known ones too, fall into ``min(M + n, 500)`` clusters by k-means. Clusters are ordered by how
    many known images they hold, then by size, larger ones first, and asked in turn, those of at most 5 images
    not at all: each gives the image with the smallest mean distance to its ``min(20, size // 2)`` nearest
    neighbors among those of its cluster that are left. The score is the inverse of that distance.

    Args:
        features: of unlabeled images, (N, D) float; lengths count, so normalize them.
        count: n; all N images where they are fewer.
        known: features (M, D) of labeled images; default: none.
        seed: of k-means.

    Raises:
        ValueError: features are not finite (N, D) floats, or known ones not of the same width.

    Source: Hacohen et al., "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets"
    (ICML 2022), TPC_RP, and the authors' code. Differs: where the larger clusters have no image left, smaller
    ones are asked, so that n images come out.
    """
    check_features(features)
    check_count("count", count)
    check_seed("seed", seed)
    known = features.new_zeros(0, features.shape[1]) if known is None else known
    check_known(known, features)
    count = min(count, len(features))
    if count == 0:
        return Chosen(torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    every = torch.cat((features, known)).float()
    clusters = assigned(every, min(len(known) + count, MOST_CLUSTERS, len(every)), seed)
    left, taken = clusters[: len(features)].clone(), clusters[len(features) :]
    chosen: list[int] = []
    scores: list[float] = []
    while len(chosen) < count:
        for cluster in order_of(clusters, taken, left)[: count - len(chosen)]:
            members = torch.nonzero(left == cluster)[:, 0]
            spread = mean_distances(every[members], min(NEIGHBORS, len(members) // 2))
            best = int(spread.argmin())
            chosen.append(int(members[best]))
            scores.append(1 / max(spread[best].item(), 1e-12))
            left[members[best]] = -1
    return Chosen(torch.tensor(chosen), torch.tensor(scores))


def order_of(clusters: Tensor, taken: Tensor, left: Tensor) -> list[int]:
    """The clusters to ask in turn: fewest known images first, then the largest; small ones where no other has
    an image left.

    Args:
        clusters: of all images, (N + M,).
        taken: of the known ones, (M,).
        left: of the unlabeled ones, (N,), -1 for those that are chosen.
    """
    number = int(clusters.max()) + 1
    sizes, known, free = (
        torch.bincount(part[part >= 0], minlength=number).tolist() for part in (clusters, taken, left)
    )
    order = sorted(
        (cluster for cluster in range(number) if free[cluster]), key=lambda c: (known[c], -sizes[c])
    )
    return [cluster for cluster in order if sizes[cluster] > SMALL_CLUSTER] or order


def assigned(features: Tensor, clusters: int, seed: int) -> Tensor:
    """The cluster of each image by k-means, (N,) int64."""
    cluster = imported("sklearn.cluster")
    kind = cluster.KMeans if clusters <= WHOLE else cluster.MiniBatchKMeans
    options = {} if clusters <= WHOLE else {"batch_size": BATCH}
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", imported("sklearn.exceptions").ConvergenceWarning
        )  # fewer different images than clusters
        found = kind(clusters, random_state=seed % 2**32, n_init=1, **options).fit_predict(
            features.detach().cpu().numpy()
        )
    return torch.from_numpy(found).long()


def mean_distances(features: Tensor, neighbors: int) -> Tensor:
    """Mean distance of each image (N, D) to its nearest others, (N,); 0 where there is no other.

    Args:
        features: (N, D).
        neighbors: how many, at most N - 1.
    """
    neighbors = min(neighbors, len(features) - 1)
    if neighbors < 1:
        return features.new_zeros(len(features))
    found = []
    for rows in torch.split(torch.arange(len(features)), ROWS):
        apart = distances(features[rows], features)
        apart[torch.arange(len(rows)), rows] = float("inf")
        found.append(apart.topk(neighbors, dim=1, largest=False).values.mean(dim=1))
    return torch.cat(found)
