"""MixMatch: pseudo-labels by averaging over views, sharpen them, and mix everything with everything.

Source: Berthelot et al., "MixMatch: A Holistic Approach to Semi-Supervised Learning" (NeurIPS 2019),
equations 2 to 13, Algorithms 1 and 2, with the optimizer of the later FixMatch code and the settings of the
semi-supervised benchmarks.

Expected error (CIFAR-10, TorchSSL, best checkpoint): 36.19 +- 6.48 (40 labels), 13.63 +- 0.59 (250), 6.66 +-
0.26 (4000).
"""

from typing import get_args

import torch
import torch.nn.functional as F

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_choice, check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.pool import LamPer, mix_pool, one_hot
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import apart
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, ramp_up, sharpen
from ssl_mix.types import Batch, Nets, Step, StepOutput


class MixMatch(Algorithm):
    """Mix labeled images and sharpened pseudo-labels, everything with everything.

    Pseudo-labels: ``q = sharpen(mean of p over two weak views, temperature)``, detached. The labeled images
    and both views of the unlabeled ones are mixed with a permutation of them all, each keeping the larger
    share. ``loss = CE(mixed x) + unlabeled_weight * w(t) * mean (p - mixed target)^2`` over mixed unlabeled
    images and classes, plus the decoupled terms of ``mixing`` on these mixed images.

    Args:
        temperature: of the sharpening.
        alpha: lam ~ Beta(alpha, alpha).
        lam_per: one lam for each "sample" (Google's code) or one for the whole "batch" (TorchSSL, USB).
        interleave: let the batch-norm statistics of both kinds of images be remembered (Google, TorchSSL), or
            those of labeled ones alone (USB).
        unlabeled_weight: lambda_u, weight of the unlabeled term; the benchmarks take 150 for CIFAR-100.
        ramp: share of the run in which that weight grows evenly from 0: ``w(t) = min(1, t / (ramp T))``;
            Google: 1/64.
        unlabeled_ratio: unlabeled images per labeled one in a batch.
        mixing: decoupled terms on the mixed images: where two labeled ones are mixed ("dm"), where a labeled
            and a pseudo-labeled one are ("as"). "mixup" adds nothing: MixMatch does its own mixing.
        targets: what makes pseudo-labels less biased before they are sharpened.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak", "weak2")

    def __init__(
        self,
        *,
        temperature: float = 0.5,
        alpha: float = 0.5,
        lam_per: LamPer = "sample",
        interleave: bool = True,
        unlabeled_weight: float = 100.0,
        ramp: float = 0.4,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_positive("temperature", temperature)
        check_positive("alpha", alpha)
        check_choice("lam_per", lam_per, get_args(LamPer))
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_share("ramp", ramp)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.temperature, self.alpha, self.lam_per = temperature, alpha, lam_per
        self.interleave = interleave
        self.unlabeled_weight = unlabeled_weight
        self.ramp = ramp
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_own()
        self.targets = targets.check("MixMatch", selected=False)
        self.adjust = Adjuster(targets)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the decoupled terms."""
        x, labels, u = parts(self, batch)
        weak, weak2 = u.views["weak"], u.views["weak2"]
        with torch.no_grad():
            answers = [torch.softmax(apart(nets.student, view), dim=1) for view in (weak, weak2)]
        adjusted = self.adjust((answers[0] + answers[1]) / 2, nets, (x, labels), weak, step)
        target = sharpen(adjusted.probabilities, self.temperature)

        pool = mix_pool(
            nets.student,
            torch.cat((x, weak, weak2)),
            torch.cat((one_hot(labels, target), target, target)),
            len(x),
            alpha=self.alpha,
            lam_per=self.lam_per,
            interleave=self.interleave,
            generator=step.generator,
        )
        supervised = F.cross_entropy(pool.logits[: len(x)], pool.targets[: len(x)])
        unsupervised = F.mse_loss(torch.softmax(pool.logits[len(x) :], dim=1), pool.targets[len(x) :])

        pseudo = hard_pseudo_labels(target, u.indices)
        mixed = self.mixing.own(pool.logits, pool.pair, pool.known, len(x), step)
        weight = self.unlabeled_weight * ramp_up(step, self.ramp)
        terms = {"labeled": (1.0, supervised), "unlabeled": (weight, unsupervised)}
        return step_output(terms, mixed, pseudo, adjusted.news)
