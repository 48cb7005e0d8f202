"""Classes by the means of the features of their labeled images."""

import torch
import torch.nn.functional as F
from torch import Tensor

DECAY = 0.99  # of a mean, per step in which its class occurs
SCALE = 20.0  # of cosines: a temperature of 0.05


def moved(features: Tensor, labels: Tensor, old: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """The moving means of the features of each class, and which there are, with labeled images taken in.

    Args:
        features: of labeled images, (B, D).
        labels: their classes, (B,) int64.
        old: means before, (C, D).
        known: which of them there are, (C,) bool.
    """
    members = F.one_hot(labels, len(known)).to(features.dtype)
    counts = members.sum(dim=0)
    means = members.T @ features / counts.clamp(min=1)[:, None]
    here = counts > 0
    keep = torch.where(here, DECAY * known.to(features.dtype), 1.0)
    return torch.lerp(means, old.to(features), keep[:, None]), known | here


def likeness(features: Tensor, prototypes: Tensor, known: Tensor) -> Tensor:
    """``20 cos(f, w_c)``, (N, C), of features (N, D) and prototypes (C, D); -inf for classes without one."""
    cosines = F.normalize(features, dim=1) @ F.normalize(prototypes, dim=1).T
    return torch.where(known, SCALE * cosines, -torch.inf)
