"""Co-Tuning: fine-tune the classifier of the source task too, on what it says of each target class.

Source: You et al., "Co-Tuning for Transfer Learning" (NeurIPS 2020), equations 1 to 6, and its code. Follows
them but for these: the relationship is learned from the labeled images alone, by cross-validation, where the
code takes a validation folder; and the probabilities of the source are not calibrated on the source data,
which are not there.

Published accuracy with 15 % of the labels (ResNet-50, ten-crop): CUB-200 52.58 +- 0.53, Stanford-Cars 46.02
+- 0.18, FGVC-Aircraft 44.09 +- 0.67 (Wang et al., ICML 2021).
"""

import warnings
from collections.abc import Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithms.fine_tuning import FineTuning, Terms, View
from ssl_mix.errors import UserError, check_choice, check_not_negative
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.models.pretrained import source_classifier
from ssl_mix.passes import backbone, full_precision
from ssl_mix.targets import PLAIN, Targets
from ssl_mix.transfer.relationship import learn_relationship
from ssl_mix.types import Nets, Task


class CoTuning(FineTuning):
    """Fine-tune the source classifier too, on what it says of each target class.

    ``loss = CE(target head, y) + source_weight * sum_s -p(s | y) log p_source(s | x)`` on the labeled images,
    plus the terms of ``mixing``. The relationship p(s | y) of source classes s to target classes y is learned
    once, before training, from what the source head says of the labeled images. Mixed images and
    pseudo-labels concern the target head alone.

    Args:
        source_weight: lambda in the paper, of the source classifier's term.
        relationship: "logistic" regression of target classes on source probabilities, turned round by Bayes'
            rule; or the "direct" mean of source probabilities over the images of each class.
        view: see :class:`FineTuning`, as the following.
        threshold: confidence that a pseudo-label must reach.
        unlabeled_ratio: unlabeled images per labeled one.
        mixing: mixing terms added to the loss.
        targets: what makes pseudo-labels less biased before mixing reads them.

    Attributes:
        relationship_matrix: p(s | y), (C, S), rows sum to 1.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network started from weights without a
            classifier.
    """

    needs_body = "trains the classifier of the weights too"

    relationship_matrix: Tensor

    def __init__(
        self,
        *,
        source_weight: float = 2.3,
        relationship: Literal["logistic", "direct"] = "logistic",
        view: View = "strong",
        threshold: float = 0.0,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__(
            view=view, threshold=threshold, unlabeled_ratio=unlabeled_ratio, mixing=mixing, targets=targets
        )
        check_not_negative("source_weight", source_weight)
        check_choice("relationship", relationship, ("logistic", "direct"))
        self.source_weight, self.relationship = source_weight, relationship

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Train the source head as a part of the network."""
        head = source_classifier(net)
        if head is None:
            raise UserError(
                "Co-Tuning needs the classifier that the network was pre-trained with, and these weights "
                "have none: give "
                "`pretrained` (a file with its classifier, a run, or default), or take self-tuning or "
                "fine-tuning"
            )
        net.source_head = head
        shape = task.num_classes, head.out_features
        self.register_buffer("relationship_matrix", torch.full(shape, 1 / head.out_features))
        return super().extend(net, task)

    @torch.no_grad()
    def begin(self, nets: Nets, labeled: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Learn the relationship."""
        net = backbone(nets.teacher)
        answers = [(_source_logits(nets.teacher, net.features(images)), labels) for images, labels in labeled]
        logits, labels = (torch.cat(parts).cpu() for parts in zip(*answers, strict=True))
        matrix = self.relationship_matrix
        learned = learn_relationship(
            logits.softmax(dim=1), labels, num_classes=len(matrix), method=self.relationship
        )
        if learned.note:
            warnings.warn(learned.note, stacklevel=2)
        matrix.copy_(learned.matrix)

    def terms(self, net: nn.Module, images: Tensor, labels: Tensor) -> Terms:
        """See ``FineTuning``."""
        features = backbone(net).features(images)
        logits = full_precision(backbone(net).head(features))
        source = F.cross_entropy(_source_logits(net, features), self.relationship_matrix[labels])
        return {
            "labeled": (1.0, F.cross_entropy(logits, labels)),
            "source": (self.source_weight, source),
        }


def _source_logits(net: nn.Module, features: Tensor) -> Tensor:
    return full_precision(net.get_submodule("source_head")(features))
