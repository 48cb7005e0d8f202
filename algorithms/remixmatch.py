"""ReMixMatch: MixMatch with balanced pseudo-labels, strongly altered images that get them, and a game of
rotations.

Source: Berthelot et al., "ReMixMatch: Semi-Supervised Learning with Distribution Alignment and Augmentation
Anchoring" (ICLR 2020), Algorithm 1, with RandAugment for CTAugment, two strong views and the settings of the
semi-supervised benchmarks.

Expected error (CIFAR-10, TorchSSL, best checkpoint): 9.88 +- 1.03 (40 labels), 6.30 +- 0.05 (250), 4.84 +-
0.01 (4000).
"""

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.augment.rotations import check_square, random_turns
from ssl_mix.errors import check_choice, check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.pool import LamPer, mix_pool, one_hot
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import apart, backbone, frozen_running_statistics, full_precision
from ssl_mix.targets import LABELED, Adjuster, Targets, hard_pseudo_labels, ramp_up, sharpen
from ssl_mix.transfer.heads import beside_head, feature_width, new_head
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class ReMixMatch(Algorithm):
    """MixMatch with balanced pseudo-labels, strongly altered images that get them, and a game of rotations.

    Pseudo-labels: ``q = sharpen(align(p(weak u)), temperature)``, detached, where ``align`` multiplies by the
    wanted share of each class over the mean prediction. Labeled, strong, second strong and weak images are
    mixed as in MixMatch. ``loss = CE(mixed x) + w(t) [unlabeled_weight * CE(mixed u) + unmixed_weight *
    CE(p(strong u), q)] + rotation_weight * CE(rotation of strong u)``, plus the decoupled terms of ``mixing``
    on these mixed images.

    Args:
        temperature: of the sharpening.
        alpha: lam ~ Beta(alpha, alpha).
        lam_per: one lam for each "sample" (Google's code) or one for the whole "batch" (TorchSSL, USB).
        interleave: see :class:`MixMatch`.
        average_decay: of the averages behind the alignment, at most, see :class:`ssl_mix.targets.Adjuster`.
        unlabeled_weight: weight of the mixed unlabeled images.
        unmixed_weight: weight of the strong view that is not mixed.
        rotation_weight: weight of predicting by which quarter turn a strong view was rotated; not ramped.
        ramp: share of the run in which the first two weights grow evenly from 0: ``w(t) = min(1, t / (ramp
            T))``.
        unlabeled_ratio: unlabeled images per labeled one in a batch.
        mixing: see :class:`MixMatch`.
        targets: what makes pseudo-labels less biased before they are sharpened.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the images are not square, or the
            network has no linear head.
    """

    needs_body = "rotates images"

    unlabeled_views = ("weak", "strong", "strong2")
    selects = False

    def __init__(
        self,
        *,
        temperature: float = 0.5,
        alpha: float = 0.75,
        lam_per: LamPer = "sample",
        interleave: bool = True,
        average_decay: float = 0.999,
        unlabeled_weight: float = 1.5,
        unmixed_weight: float = 0.5,
        rotation_weight: float = 0.5,
        ramp: float = 1 / 64,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = LABELED,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        check_positive("alpha", alpha)
        check_choice("lam_per", lam_per, get_args(LamPer))
        check_share("average_decay", average_decay)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_not_negative("unmixed_weight", unmixed_weight)
        check_not_negative("rotation_weight", rotation_weight)
        check_share("ramp", ramp)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.temperature, self.alpha, self.lam_per = temperature, alpha, lam_per
        self.interleave, self.average_decay = interleave, average_decay
        self.unlabeled_weight, self.unmixed_weight = unlabeled_weight, unmixed_weight
        self.rotation_weight, self.ramp = rotation_weight, ramp
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_own()
        self.targets = targets.check("ReMixMatch", selected=False)
        self.adjust = Adjuster(targets, decay=average_decay)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """A head that tells four rotations from the features."""
        check_square("ReMixMatch", task.image_shape)
        self.rotation_head = beside_head(net, new_head(feature_width(net), 4))
        return super().extend(net, task)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the decoupled terms."""
        x, labels, u = parts(self, batch)
        weak, strong, strong2 = (u.views[name] for name in self.unlabeled_views)
        with torch.no_grad():
            answer = torch.softmax(apart(nets.student, weak), dim=1)
        truth = one_hot(labels, answer)
        adjusted = self.adjust(answer, nets, (x, labels), weak, step)
        target = sharpen(adjusted.probabilities, self.temperature)

        pool = mix_pool(
            nets.student,
            torch.cat((x, strong, strong2, weak)),
            torch.cat((truth, target, target, target)),
            len(x),
            alpha=self.alpha,
            lam_per=self.lam_per,
            interleave=self.interleave,
            generator=step.generator,
        )
        pseudo = hard_pseudo_labels(target, u.indices)
        mixed = self.mixing.own(pool.logits, pool.pair, pool.known, len(x), step)
        ramp = ramp_up(step, self.ramp)
        terms = {
            "labeled": (1.0, F.cross_entropy(pool.logits[: len(x)], pool.targets[: len(x)])),
            "unlabeled": (
                self.unlabeled_weight * ramp,
                F.cross_entropy(pool.logits[len(x) :], pool.targets[len(x) :]),
            ),
            "unmixed": (self.unmixed_weight * ramp, F.cross_entropy(apart(nets.student, strong), target)),
            "rotation": (self.rotation_weight, self._rotation(nets.student, strong, step)),
        }
        return step_output(terms, mixed, pseudo, adjusted.news)

    def _rotation(self, net: nn.Module, images: Tensor, step: Step) -> Tensor:
        """Cross-entropy of telling by how many quarter turns, drawn anew, each image was rotated."""
        picked, turns = random_turns(images, step.generator)
        with frozen_running_statistics(net):
            features = backbone(net).features(picked)
        return F.cross_entropy(full_precision(self.rotation_head(features)), turns)
