"""CRMatch: the class of an image does not change when it is altered, its features do, and rotations are told
apart.

Source: Fan et al., "Revisiting Consistency Regularization for Semi-Supervised Learning" (GCPR 2021, IJCV
2023): feature distance loss and CRMatch; the code of one of its authors in USB. Differs: the compared vectors
are a linear image of the pooled features, where the codes flatten the last feature map, which networks here
need not have; each unlabeled image is rotated by one drawn quarter turn, where the codes rotate a batch of B
others by all four.

Expected error (CIFAR-10, USB, best checkpoint): 10.13 (40 labels), 4.67 (250), 3.81 (4000).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.augment.rotations import check_square, random_turns
from ssl_mix.errors import check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import backbone, full_precision
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.transfer.heads import Projectors, beside_head, feature_width, new_head
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class CRMatch(Algorithm):
    """FixMatch with features that tell two views of an image apart, and a game of rotations.

    ``loss = CE(p(x), y) + unlabeled_weight * mean(m * CE(p(strong u), argmax q)) + distance_weight * mean(m *
    max(0, cos(A f(weak u), A f(strong u)))) + rotation_weight * CE(rotation of weak u)`` with ``q = p(weak
    u)`` detached and ``m = 1[max q >= threshold]``, plus the terms of ``mixing``. f are the features, A is a
    learned linear layer, and the features of both views are learned. One forward pass serves all views and
    the rotated images.

    Args:
        threshold: tau, the confidence a pseudo-label must reach, in [0, 1].
        unlabeled_weight: weight of the unlabeled term.
        distance_weight: weight of the likeness of the features, which shrinks.
        rotation_weight: weight of predicting by which quarter turn a weak view was rotated.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the threshold.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the images are not square, or the network has
            no linear head.
    """

    needs_body = "rotates images"
    unlabeled_views = ("weak", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        unlabeled_weight: float = 1.0,
        distance_weight: float = 1.0,
        rotation_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_not_negative("distance_weight", distance_weight)
        check_not_negative("rotation_weight", rotation_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.unlabeled_weight = threshold, unlabeled_weight
        self.distance_weight, self.rotation_weight = distance_weight, rotation_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("CRMatch")
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """The layer before the distance, and one that tells four rotations from the features."""
        check_square("CRMatch", task.image_shape)
        width = feature_width(net)
        self.distance_head = beside_head(net, new_head(width, width))
        self.rotation_head = beside_head(net, Projectors(width, 4, 1))
        return super().extend(net, task)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        x, labels, u = parts(self, batch)
        weak, strong = (u.views[name] for name in self.unlabeled_views)
        turned, turns = random_turns(weak, step.generator)
        student = backbone(nets.student)
        sizes = [len(x), len(weak), len(strong), len(turned)]
        features = student.features(torch.cat((x, weak, strong, turned)))
        logits = torch.split(full_precision(student.head(features)), sizes)
        _, of_weak, of_strong, of_turned = torch.split(features, sizes)

        adjusted = self.adjust(predicted(logits[1]), nets, (x, labels), weak, step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        losses = F.cross_entropy(logits[2], pseudo.labels, reduction="none")
        likeness = self._likeness(of_weak, of_strong)
        guess = full_precision(self.rotation_head(of_turned))
        terms = {
            "labeled": (1.0, F.cross_entropy(logits[0], labels)),
            "unlabeled": (self.unlabeled_weight, (pseudo.mask * losses).mean()),
            "distance": (self.distance_weight, (pseudo.mask * likeness).mean()),
            "rotation": (self.rotation_weight, F.cross_entropy(guess, turns)),
        }
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        return step_output(terms, mixed, pseudo, news)

    def _likeness(self, first: Tensor, second: Tensor) -> Tensor:
        """``max(0, cos)``, (N,)."""
        one, other = (full_precision(self.distance_head(features)) for features in (first, second))
        return F.cosine_similarity(one, other).clamp(min=0)
