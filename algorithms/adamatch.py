"""AdaMatch: FixMatch for unlabeled images of another domain than the labeled ones, or of the same.

Source: Berthelot et al., "AdaMatch: A Unified Approach to Semi-Supervised Learning and Domain Adaptation"
(ICLR 2022), section 3, and google-research/adamatch. The method is the same for semi-supervised learning and
for domain adaptation: what differs is where the unlabeled and the test images come from, so there is no
switch.

Differs: the averages behind the alignment are those of :class:`ssl_mix.targets.Adjuster` (the code: a moving
average over labeled predictions and the mean of the last 128 batches of unlabeled ones); RandAugment for
CTAugment. Pseudo-labels are hard, as in the code. USB leaves out the interpolation, the strong views of
labeled images and the ramp, and has a threshold of 0.95.

Expected error (CIFAR-10, USB, best checkpoint): 5.05 +- 0.04 (40 labels), 5.01 +- 0.11 (250), 4.29 +- 0.06
(4000).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import apart, together
from ssl_mix.targets import LABELED, Adjuster, Targets, hard_pseudo_labels, predicted, ramp_up
from ssl_mix.types import Batch, Nets, Step, StepOutput


class AdaMatch(Algorithm):
    """FixMatch for unlabeled images of another domain than the labeled ones, or of the same.

    ``loss = [CE(z(weak x), y) + CE(z(strong x), y)] / 2 + unlabeled_weight * w(t) * mean(1[max q >= c] *
    CE(p(strong u), argmax q))`` with three changes to FixMatch:

    - Random logit interpolation: ``z = z1 + r (z2 - z1)``. z1 are logits from one pass over all images,
    whose
      batch-norm statistics are those of both domains, z2 from a pass over the labeled ones alone, which
      moves no running statistics; r is uniform in [0, 1], drawn for every logit.
    - Alignment: ``q = p(weak u) r / a``, made to sum to 1, where a and r are moving averages of what is
      predicted for weak unlabeled and weak labeled images. So ``align`` "labeled" means predictions here,
      where it means labels elsewhere.
    - Relative threshold: ``c = threshold * mean(max softmax(z(weak x)))`` of the batch.

    ``w(t) = (1 - cos(pi min(1, t / (ramp T)))) / 2``.

    Args:
        threshold: tau, in [0, 1], relative to how confident the network is of labeled images.
        interpolation: interpolate logits; without it the labeled ones come from the pass over all images.
        average_decay: of the averages behind the alignment, at most, see :class:`ssl_mix.targets.Adjuster`.
        ramp: share of the run in which the weight of the unlabeled term grows from 0.
        unlabeled_weight: weight of the unlabeled term.
        unlabeled_ratio: unlabeled images per labeled one in a batch; 3 in the published code, 7 in USB.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the threshold.

    Raises:
        ValueError: an argument is out of range.
    """

    labeled_views = ("weak", "strong")
    unlabeled_views = ("weak", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.9,
        interpolation: bool = True,
        average_decay: float = 0.999,
        ramp: float = 0.5,
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 3,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = LABELED,
    ) -> None:
        super().__init__()
        for name, share in (("threshold", threshold), ("average_decay", average_decay), ("ramp", ramp)):
            check_share(name, share)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.interpolation = threshold, interpolation
        self.average_decay, self.ramp = average_decay, ramp
        self.unlabeled_weight = unlabeled_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("AdaMatch", margins=True)
        self.adjust = Adjuster(targets, decay=average_decay)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the method, with the mixing terms."""
        x, labels, u = parts(self, batch)
        both = torch.cat((x, batch.labeled.views["strong"]))
        logits_both, logits_weak, logits_strong = together(
            nets.student, both, u.views["weak"], u.views["strong"]
        )
        if self.interpolation:
            logits_both = interpolated(logits_both, apart(nets.student, both), step)
        shown = predicted(logits_both[: len(x)])

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step, shown=shown)
        threshold = self.threshold * shown.amax(dim=1).mean()
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        supervised = F.cross_entropy(logits_both, torch.cat((labels, labels)))
        costs = F.cross_entropy(self.adjust.margins(logits_strong), pseudo.labels, reduction="none")
        unsupervised = (pseudo.mask * costs).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        weight = self.unlabeled_weight * (1 - math.cos(math.pi * ramp_up(step, self.ramp))) / 2
        terms = {"labeled": (1.0, supervised), "unlabeled": (weight, unsupervised)}
        return step_output(terms, mixed, pseudo, news)


def interpolated(logits: Tensor, alone: Tensor, step: Step) -> Tensor:
    """``logits + r (alone - logits)``, (N, C), with r drawn for every logit, uniform in [0, 1]."""
    share = torch.rand(logits.shape, dtype=logits.dtype, generator=step.generator)
    return torch.lerp(logits, alone, share.to(logits.device, non_blocking=True))
