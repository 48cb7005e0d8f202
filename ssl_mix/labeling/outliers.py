"""Images that are like no other: of no class, or broken."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.labeling.checks import check_features
from ssl_mix.labeling.typiclust import mean_distances

NEIGHBORS = 5
FAR = 3.5  # robust deviations
FEWEST = 20  # images: of fewer, nothing is known of what is usual
NORMAL = 0.6745  # median absolute deviation of a standard normal variable


def outlier_scores(features: Tensor, *, neighbors: int = NEIGHBORS) -> Tensor:
    """How far each image lies from its nearest others, against what is usual, (N,): above 3.5 it is an
    outlier.

    With d the mean Euclidean distance of unit features to the nearest others, and x = log d, it is the
    modified z-score ``0.6745 (x - median x) / median |x - median x|``; 0 for all where half of the images lie
    equally far, or where there are fewer than 20.

    Args:
        features: (N, D) float; their mean is taken away first.
        neighbors: how many others.

    Raises:
        ValueError: features are not (N, D) floats.

    Source: distances to the nearest neighbors as in Ramaswamy et al., "Efficient Algorithms for Mining
    Outliers from Large Data Sets" (SIGMOD 2000); the z-score and its limit are of Iglewicz and Hoaglin, "How
    to Detect and Handle Outliers" (1993).
    """
    check_features(features)
    if len(features) < FEWEST:
        return torch.zeros(len(features))
    unit = F.normalize(features.float() - features.float().mean(dim=0), dim=1)
    far = mean_distances(unit, neighbors).clamp(min=1e-6).log()
    apart = far - far.median()
    usual = apart.abs().median().item()
    return NORMAL * apart / usual if usual > 0 and math.isfinite(usual) else torch.zeros(len(features))
