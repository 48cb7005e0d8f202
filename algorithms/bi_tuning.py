"""Bi-Tuning: fine-tune on labels, and on how images of a class resemble each other, in features and in a
projection.

Source: Zhong et al., "Bi-tuning: Efficient Transfer from Pre-trained Models" (ECML-PKDD 2022), equations 3
and 5, in the form of TLlib.
Differs: the key encoder is the teacher of the trainer, whose decay is ``--ema-decay`` (published: 0.999,
without warm-up), the teacher is evaluated, not the student, and the queues begin with keys of the labeled
images, not with random ones, see :mod:`ssl_mix.algorithms.self_tuning`.

Published accuracy of CUB-200 with 15 / 30 / 50 / 100 % of the labels (ResNet-50, center crop, best epoch on
the test part): 55.8, 69.3, 77.2, 83.1 (TLlib).
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, check_batch, step_output
from ssl_mix.algorithms.fine_tuning import View
from ssl_mix.errors import check_choice, check_count, check_not_negative, check_positive
from ssl_mix.losses import group_contrast
from ssl_mix.passes import backbone, batch_statistics, full_precision
from ssl_mix.queues import ClassQueue
from ssl_mix.transfer.heads import add_projector, feature_width, projected
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class BiTuning(Algorithm):
    """Fine-tune, and let images of a class resemble each other.

    ``loss = CE + contrast_weight * (KL_z + KL_y)`` on two views, query and key, of the labeled images. KL_z
    is :func:`ssl_mix.losses.group_contrast` of projections (PGC). KL_y is the same with the classifier's row
    of the class, detached, as the query and the features of the image as its own key: it pulls features
    towards their row. Features carry a 1, rows their bias, and both have length 1. Keys come from the
    teacher, which normalizes by the batch.

    Args:
        contrast_weight: of both contrasts.
        depth: K, keys per class in each queue.
        width: of the projection.
        temperature: of both contrasts.
        view: "weak": flip and crop; "strong": RandAugment and Cutout too. Two are drawn.

    Attributes:
        queue: projected keys, (C, K, width).
        feature_queue: keys of features, (C, K, D + 1).

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network has no linear head.
    """

    body_parts = ("projector",)

    def __init__(
        self,
        *,
        contrast_weight: float = 1.0,
        depth: int = 40,
        width: int = 128,
        temperature: float = 0.07,
        view: View = "weak",
    ) -> None:
        super().__init__()
        check_not_negative("contrast_weight", contrast_weight)
        check_count("depth", depth)
        check_count("width", width)
        check_positive("temperature", temperature)
        check_choice("view", view, ("weak", "strong"))
        self.contrast_weight, self.depth, self.width = contrast_weight, depth, width
        self.temperature, self.view = temperature, view
        self.labeled_views = (view, f"{view}2")

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """A projector, and the queues."""
        add_projector(net, self.width)
        self.queue = ClassQueue(task.num_classes, self.depth, self.width)
        self.feature_queue = ClassQueue(task.num_classes, self.depth, feature_width(net) + 1)
        return net

    @torch.no_grad()
    def begin(self, nets: Nets, labeled: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fill the queues with keys of the labeled images."""
        found = [(_encode(nets.teacher, images), labels) for images, labels in labeled]
        classes = torch.cat([labels for _, labels in found])
        self.queue.fill(torch.cat([each.projection for each, _ in found]), classes)
        self.feature_queue.fill(torch.cat([each.direction for each, _ in found]), classes)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        check_batch(self, batch)
        assert batch.labeled.target is not None
        query_view, key_view = (batch.labeled.views[name] for name in self.labeled_views)
        labels = batch.labeled.target
        query = _encode(nets.student, query_view)
        with torch.no_grad(), batch_statistics(nets.teacher):
            key = _encode(nets.teacher, key_view)
        head = backbone(nets.student).head
        logits = full_precision(head(query.features))
        rows = _rows(head).detach()[labels]
        projections = group_contrast(
            query.projection, key.projection, self.queue.keys, labels, temperature=self.temperature
        )
        features = group_contrast(
            rows, query.direction, self.feature_queue.keys, labels, temperature=self.temperature
        )
        terms = {
            "labeled": (1.0, F.cross_entropy(logits, labels)),
            "projections": (self.contrast_weight, projections),
            "features": (self.contrast_weight, features),
        }
        carry = {"projection": key.projection, "direction": key.direction, "labels": labels}
        return step_output(terms, (logits.new_zeros(()), {}), None, carry)

    def commit(self, carry: dict[str, Tensor]) -> None:
        """Put the keys of the step into the queues."""
        self.queue.push(carry["projection"], carry["labels"])
        self.feature_queue.push(carry["direction"], carry["labels"])


class _Encoded(NamedTuple):
    """What a network makes of images: features (N, D), those with a 1 at length 1 (N, D + 1), their
    projection (N, width)."""

    features: Tensor
    direction: Tensor
    projection: Tensor


def _encode(net: nn.Module, images: Tensor) -> _Encoded:
    features = full_precision(backbone(net).features(images))
    direction = F.normalize(F.pad(features, (0, 1), value=1.0), dim=1)
    return _Encoded(features, direction, projected(net, features))


def _rows(head: nn.Linear) -> Tensor:
    """Weights and bias of each class at length 1, (C, D + 1)."""
    bias = head.weight.new_zeros(head.out_features) if head.bias is None else head.bias
    return F.normalize(full_precision(torch.cat((head.weight, bias[:, None]), dim=1)), dim=1)
