"""FixMatch: learn from the confident pseudo-labels that a network makes on gently altered images.

Source: Sohn et al., "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence" (NeurIPS
2020), equations 3 and 4, Algorithm 1. Follows the paper and google-research/fixmatch in everything but these:
the augmentation is RandAugment unless ``augment`` says CTAugment, with its variant chosen by the data set;
labeled images may be left out of the unlabeled part.

Expected error with the paper's settings (RandAugment, CIFAR-10, 5 folds, as published): 13.81 (40 labels),
5.07 (250 labels), 4.26 (4000 labels).
"""

from typing import get_args

import torch.nn.functional as F

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_choice, check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import WeakPass, with_answers
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.types import Batch, Nets, Step, StepOutput


class FixMatch(Algorithm):
    """Learn from confident pseudo-labels on weakly altered images.

    ``loss = CE(p(weak x), y) + unlabeled_weight * mean(1[max q >= threshold] * CE(p(strong u), argmax q))``
    with ``q = p(weak u)`` detached, plus the terms of ``mixing``. One forward pass serves all three views, so
    they share their batch-norm statistics, and the mean is over all unlabeled images of the batch, masked
    ones counted.

    Args:
        threshold: tau, the confidence a pseudo-label must reach, in [0, 1].
        unlabeled_weight: lambda_u, weight of the unlabeled term.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        weak_pass: all views go through the network "together", or "apart", the weak ones without gradient:
            faster, with batch-norm statistics of their own. Without such statistics both are the same.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the threshold.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        weak_pass: WeakPass = "together",
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        check_choice("weak_pass", weak_pass, get_args(WeakPass))
        self.threshold = threshold
        self.unlabeled_weight = unlabeled_weight
        self.unlabeled_ratio, self.weak_pass = unlabeled_ratio, weak_pass
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("FixMatch", margins=True)
        self.adjust = Adjuster(targets)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the mixing terms."""
        x, labels, u = parts(self, batch)
        logits_x, logits_weak, logits_strong = with_answers(nets.student, x, u.views, self.weak_pass)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        supervised = F.cross_entropy(logits_x, labels)
        costs = F.cross_entropy(self.adjust.margins(logits_strong), pseudo.labels, reduction="none")
        unsupervised = (pseudo.mask * costs).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {"labeled": (1.0, supervised), "unlabeled": (self.unlabeled_weight, unsupervised)}
        return step_output(terms, mixed, pseudo, news)
