"""Heads to start from: a probe, and means of classes that unlabeled features have moved."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from ssl_mix.passes import backbone

TEMPERATURE, KEPT, OUTLIER, ROUNDS = 20.0, 5.0, 0.3, 20


class LinearHead(NamedTuple):
    """A linear classifier.

    Attributes:
        weight: (C, D).
        bias: (C,).
    """

    weight: Tensor
    bias: Tensor

    @torch.no_grad()
    def apply_to(self, net: nn.Module) -> None:
        """Copy the weights into ``net.head``."""
        backbone(net).head.weight.copy_(self.weight)
        backbone(net).head.bias.copy_(self.bias)


def probe(features: Tensor, labels: Tensor, num_classes: int) -> LinearHead:
    """Logistic regression of labels (N,) on features (N, D)."""
    model = LogisticRegression(C=1.0, max_iter=1000).fit(features.float().numpy(), labels.numpy())
    weight, bias = torch.tensor(model.coef_).float(), torch.tensor(model.intercept_).float()
    if num_classes == 2:
        weight, bias = torch.cat((-weight, weight)) / 2, torch.cat((-bias, bias)) / 2
    return LinearHead(weight, bias)


def prototypes(features: Tensor, labels: Tensor, unlabeled: Tensor, num_classes: int) -> LinearHead:
    """Means of classes, moved by soft k-means over unlabeled features, as a cosine classifier."""
    scale = features.norm(dim=1).mean()
    known, unknown = F.normalize(features.float(), dim=1), F.normalize(unlabeled.float(), dim=1)
    one_hot = F.one_hot(labels, num_classes).float()
    means = (one_hot.T @ known) / one_hot.sum(dim=0)[:, None]
    found = F.normalize(means, dim=1)
    for _ in range(ROUNDS):
        logits = TEMPERATURE * unknown @ found.T
        outlier = torch.full((len(logits), 1), TEMPERATURE * OUTLIER)
        shares = torch.cat((logits, outlier), dim=1).softmax(dim=1)[:, :-1]
        found = F.normalize(KEPT * means + shares.T @ unknown, dim=1)
    return LinearHead(TEMPERATURE / scale * found, torch.zeros(num_classes))
