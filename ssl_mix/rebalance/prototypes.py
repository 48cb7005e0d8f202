"""Classes by the means of the features of their labeled images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.passes import backbone, full_precision

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


def smoothed(
    p: Tensor,
    teacher: nn.Module,
    labeled: tuple[Tensor, Tensor],
    unlabeled: Tensor,
    memory: tuple[Tensor, Tensor],
    share: float,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Step 1 of :class:`ssl_mix.targets.Adjuster`: predictions p (N, C) smoothed, and its "prototypes" and
    those "known".

    Args:
        p: of the unlabeled images.
        teacher: whose features are compared.
        labeled: images (B, ...) and their classes, (B,) int64.
        unlabeled: images (N, ...).
        memory: prototypes (C, D) and which there are, (C,) bool, before the step.
        share: w, of the classes by features.
    """
    images, labels = labeled
    features = full_precision(backbone(teacher).features(torch.cat((images, unlabeled))))
    with torch.autocast(p.device.type, enabled=False):
        near, asked = torch.split(features.to(p.dtype), [len(images), len(unlabeled)])
        prototypes, known = moved(near, labels, *memory)
        center = (known[:, None] * prototypes).sum(dim=0) / known.sum()
        nearest = torch.softmax(likeness(asked - center, prototypes - center, known), dim=1)
        semantic = torch.where(known, nearest * (p * known).sum(dim=1, keepdim=True), p)
        return torch.lerp(p, semantic, share), {"prototypes": prototypes, "known": known}
