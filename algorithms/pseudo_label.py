"""Pseudo-Label: treat confident pseudo-labels as labels.

Source: Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks"
(ICML 2013 workshop). As in the semi-supervised benchmarks, only pseudo-labels above a threshold count, which
the paper does not have.

Expected error (CIFAR-10, TorchSSL, best checkpoint): 74.61 +- 0.26 (40 labels), 46.49 +- 2.20 (250), 15.08 +-
0.19 (4000).
"""

import torch.nn.functional as F

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import apart, logits_of
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted, ramp_up
from ssl_mix.types import Batch, Nets, Step, StepOutput


class PseudoLabel(Algorithm):
    """Treat confident pseudo-labels as labels.

    ``loss = CE(p(x), y) + unlabeled_weight * w(t) * mean(1[max q >= threshold] * CE(q, argmax q))`` with ``q
    = p(u)`` on weak views, plus the terms of ``mixing``. The labeled images alone move the running batch-norm
    statistics.

    Args:
        threshold: the confidence a pseudo-label must reach, in [0, 1].
        unlabeled_weight: weight of the unlabeled term.
        ramp: share of the run in which that weight grows evenly from 0: ``w(t) = min(1, t / (ramp T))``.
        unlabeled_ratio: unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the threshold.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak",)

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        unlabeled_weight: float = 1.0,
        ramp: float = 0.4,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_share("ramp", ramp)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold = threshold
        self.unlabeled_weight = unlabeled_weight
        self.ramp = ramp
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("PseudoLabel", margins=True)
        self.adjust = Adjuster(targets)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        x, labels, u = parts(self, batch)
        supervised = F.cross_entropy(logits_of(nets.student, x), labels)
        logits = apart(nets.student, u.views["weak"])

        adjusted = self.adjust(predicted(logits), nets, (x, labels), u.views["weak"], step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        costs = F.cross_entropy(self.adjust.margins(logits), pseudo.labels, reduction="none")
        unsupervised = (pseudo.mask * costs).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        weight = self.unlabeled_weight * ramp_up(step, self.ramp)
        terms = {"labeled": (1.0, supervised), "unlabeled": (weight, unsupervised)}
        return step_output(terms, mixed, pseudo, news)
