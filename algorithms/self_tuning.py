"""Self-Tuning: learn from pseudo-labels on unlabeled images by contrast, which forgives a wrong pseudo-label
more easily than cross-entropy does.

Source: Wang et al., "Self-Tuning for Data-Efficient Deep Learning" (ICML 2021), equations 3 to 6, and its
code. Differs from the
code: the key encoder is the teacher of the trainer, moved once a step (``--ema-decay``; the code moves it
twice by 0.999: 0.998001); pseudo-labels come from the forward pass that the loss needs anyway, so that
unlabeled images move the running batch-norm statistics once, not twice; the teacher is evaluated, not the
student; and the queue begins with keys of the labeled images, over and over, not with random ones. Among
random keys a query's own key is the only near one and wins the softmax, while the target gives it 1 / (D + 1)
of the weight and random directions the rest: images are pushed away from themselves until the queue is full.

Published accuracy with 15 / 30 / 50 % of the labels (ResNet-50, ten-crop): CUB-200 64.17, 75.13, 80.22;
Stanford-Cars 72.50, 83.58, 88.11; FGVC-Aircraft 64.11, 76.03, 81.22.
"""

import copy
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, check_batch, step_output
from ssl_mix.algorithms.fine_tuning import View
from ssl_mix.errors import check_choice, check_count, check_not_negative, check_positive, check_share
from ssl_mix.losses import group_contrast
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import backbone, batch_statistics, full_precision
from ssl_mix.queues import ClassQueue
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.transfer.heads import add_projector, embedded, projected
from ssl_mix.types import Batch, Nets, Samples, Step, StepOutput, Task


class SelfTuning(Algorithm):
    """Fine-tune, and let images of a class, true or pseudo-labels, resemble each other.

    ``loss = CE(p(x), y) + contrast_weight * [PGC(x, y) + PGC(u, pseudo-label)]``, plus the terms of
    ``mixing``. PGC is :func:`ssl_mix.losses.group_contrast`. Of each image there are two views: the student
    sees the query, the teacher, which normalizes by the batch, the key. The pseudo-label is the student's
    answer to the query, and every pseudo-label counts in the contrast. Keys of labeled images enter the queue
    before the unlabeled images are compared with it. The head reads the features, not their projection, and
    mixed images never enter the queue.

    Args:
        contrast_weight: of both contrasts; 0 leaves fine-tuning, with which to tell what they are worth.
        depth: D, keys per class in the queue.
        width: of the projection.
        temperature: of the contrast.
        threshold: confidence that a pseudo-label must reach to count in the asymmetric term, in [0, 1].
        unlabeled_ratio: unlabeled images per labeled one in a batch.
        view: "weak": flip and crop; "strong": RandAugment and Cutout too. Two are drawn.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS), on the
            query view.
        targets: what makes pseudo-labels less biased before anything reads them.

    Attributes:
        queue: the newest keys of each class, (C, D, width).

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network has no linear head.
    """

    body_parts = ("projector",)

    def __init__(
        self,
        *,
        contrast_weight: float = 1.0,
        depth: int = 32,
        width: int = 1024,
        temperature: float = 0.07,
        threshold: float = 0.0,
        unlabeled_ratio: int = 1,
        view: View = "strong",
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_not_negative("contrast_weight", contrast_weight)
        check_count("depth", depth)
        check_count("width", width)
        check_positive("temperature", temperature)
        check_share("threshold", threshold)
        check_count("unlabeled_ratio", unlabeled_ratio)
        check_choice("view", view, ("weak", "strong"))
        self.contrast_weight, self.depth = contrast_weight, depth
        self.width, self.temperature = width, temperature
        self.threshold, self.selects, self.unlabeled_ratio = threshold, threshold > 0, unlabeled_ratio
        self.view = view
        self.labeled_views = self.unlabeled_views = (view, f"{view}2")
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check(
            "SelfTuning", selected=self.mixing.masked, threshold=threshold > 0, fixed=True
        )
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """A projector, the queue, and a second head for mixed images, if they are to have one."""
        add_projector(net, self.width)
        self.queue = ClassQueue(task.num_classes, self.depth, self.width)
        return super().extend(net, task)

    def begin(self, nets: Nets, labeled: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Fill the queue with keys of the labeled images."""
        self.queue.fill(*embedded(nets.teacher, labeled))

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        check_batch(self, batch)
        assert batch.unlabeled is not None and batch.labeled.target is not None
        labels = batch.labeled.target
        x, u = self._encode(nets, batch.labeled), self._encode(nets, batch.unlabeled)
        images, others = (half.views[self.view] for half in (batch.labeled, batch.unlabeled))
        adjusted = self.adjust(predicted(u.logits), nets, (images, labels), others, step)
        confident = hard_pseudo_labels(adjusted.probabilities, batch.unlabeled.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        later = copy.deepcopy(self.queue)
        later.push(x.key, labels)

        terms = {
            "labeled": (1.0, F.cross_entropy(x.logits, labels)),
            "labeled_contrast": (self.contrast_weight, self._contrast(x, self.queue, labels)),
            "unlabeled_contrast": (self.contrast_weight, self._contrast(u, later, pseudo.labels)),
        }
        mixed = self.mixing(
            nets.student, images, labels, step, unlabeled=batch.unlabeled.views, pseudo=pseudo
        )
        carry = {"keys": torch.cat((x.key, u.key)), "labels": torch.cat((labels, pseudo.labels))}
        return step_output(terms, mixed, pseudo, carry | news)

    def commit(self, carry: dict[str, Tensor]) -> None:
        """Put the keys of the step into the queue, the labeled ones first."""
        rest = dict(carry)
        self.queue.push(rest.pop("keys"), rest.pop("labels"))
        super().commit(rest)

    def _encode(self, nets: Nets, samples: Samples) -> "_Encoded":
        query, key = (samples.views[name] for name in self.labeled_views)
        student, teacher = backbone(nets.student), backbone(nets.teacher)
        features = student.features(query)
        with torch.no_grad(), batch_statistics(nets.teacher):
            keys = projected(nets.teacher, teacher.features(key))
        logits = full_precision(student.head(features))
        return _Encoded(logits, projected(nets.student, features), keys)

    def _contrast(self, encoded: "_Encoded", queue: ClassQueue, labels: Tensor) -> Tensor:
        return group_contrast(encoded.query, encoded.key, queue.keys, labels, temperature=self.temperature)


class _Encoded(NamedTuple):
    """Logits (N, C), query (N, width) and key (N, width) of images."""

    logits: Tensor
    query: Tensor
    key: Tensor
