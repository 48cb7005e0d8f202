"""One classifier per class that says whether an image is of it: what tells images of no class from others."""

import torch.nn.functional as F
from torch import Tensor


def inlier_log_odds(logits: Tensor) -> Tensor:
    """``s_c = z_{c, in} - z_{c, out}``, (N, C), of logits (N, 2 C): first those of "another", then those of
    "this one". The softmax of the two is ``r_c = sigmoid(s_c)``."""
    outside, inside = logits.chunk(2, dim=1)
    return inside - outside


def one_vs_all_loss(odds: Tensor, labels: Tensor) -> Tensor:
    """``mean[-log r_y - min_{c != y} log(1 - r_c)]``, 0-d: only the classifier that is most wrong to say yes
    counts among the others.

    Args:
        odds: log-odds of each class, (N, C).
        labels: y, (N,) int64.

    Source: Saito and Saenko, "OVANet: One-vs-All Network for Universal Domain Adaptation" (ICCV 2021), its
    hard negative sampling, as OpenMatch and IOMatch have it.
    """
    own = F.softplus(-odds.gather(1, labels[:, None])[:, 0])
    others = F.softplus(odds).scatter(1, labels[:, None], 0.0)
    return (own + others.amax(dim=1)).mean()


def binary_entropy(odds: Tensor) -> Tensor:
    """``-r log r - (1 - r) log(1 - r)`` with ``r = sigmoid(odds)``, of any shape."""
    return F.softplus(odds) - odds * odds.sigmoid()
