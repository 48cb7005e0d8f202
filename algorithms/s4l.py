"""S4L: tell by how many quarter turns labeled and unlabeled images were rotated, and classify labeled ones in
all four.

Source: Zhai et al., "S4L: Self-Supervised Semi-Supervised Learning" (ICCV 2019), equations 1 to 3, the
variant S4L-Rotation, and google-research/s4l. Differs: the weak view is that of this package (flip and crop),
and answers to the four rotations are not averaged at test time. The other terms of the paper's "mix of all
models" are algorithms of their own.

Published error (ImageNet, top 5, ResNet-50v2): 16.22 with 10 % of the labels, 46.69 with 1 %.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.augment.rotations import all_turns, check_square
from ssl_mix.errors import check_count, check_not_negative
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import backbone, full_precision
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.transfer.heads import beside_head, feature_width, new_head
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class S4L(Algorithm):
    """Classify labeled images in all four rotations, and tell the rotations of all images apart.

    ``loss = mean_r CE(p(R_r x), y) + rotation_weight * (mean_r CE(o(R_r x), r) + mean_r CE(o(R_r u), r)) /
    2``, r from 0 to 3, R_r a rotation by r quarter turns, plus the terms of ``mixing``; o is a linear layer
    over the features. One forward pass serves all images.

    Args:
        rotation_weight: w, weight of telling rotations apart.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS), with
            the network's answers on weak views; every pseudo-label counts.
        targets: what makes pseudo-labels less biased before mixing reads them.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the images are not square, or the network has
            no linear head.
    """

    needs_body = "rotates images"
    unlabeled_views = ("weak",)
    selects = False

    def __init__(
        self,
        *,
        rotation_weight: float = 1.0,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_not_negative("rotation_weight", rotation_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.rotation_weight, self.unlabeled_ratio = rotation_weight, unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check(
            "S4L", used=self.mixing.asymmetric, selected=self.mixing.masked, threshold=False
        )
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """A head that tells four rotations from the features."""
        check_square("S4L", task.image_shape)
        self.rotation_head = beside_head(net, new_head(feature_width(net), 4))
        return super().extend(net, task)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        x, labels, u = parts(self, batch)
        (turned_x, turns_x), (turned_u, turns_u) = all_turns(x), all_turns(u.views["weak"])
        student = backbone(nets.student)
        features = student.features(torch.cat((turned_x, turned_u)))
        logits_x, logits_u = full_precision(student.head(features)).tensor_split([len(turned_x)])
        guess_x, guess_u = full_precision(self.rotation_head(features)).tensor_split([len(turned_x)])

        answer = predicted(logits_u[: len(logits_u) // 4])  # to the images as they are
        adjusted = self.adjust(answer, nets, (x, labels), u.views["weak"], step)
        pseudo, news = self.adjust.select(hard_pseudo_labels(adjusted.probabilities, u.indices), adjusted)
        rotation = (F.cross_entropy(guess_x, turns_x) + F.cross_entropy(guess_u, turns_u)) / 2
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels.repeat(4))),
            "rotation": (self.rotation_weight, rotation),
        }
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        return step_output(terms, mixed, pseudo, news)
