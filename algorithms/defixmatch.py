"""DeFixMatch: FixMatch without the bias that pseudo-labels bring into the risk.

Source: Schmutz, Humbert and Mattei, "Don't fear the unlabelled: safe semi-supervised learning via debiasing"
(ICLR 2023), equation 5 and section 5, and HugoSchmutz/DeFixmatch.
"""

import torch
import torch.nn.functional as F

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import UserError, check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import together
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.types import Batch, Nets, Step, StepOutput


class DeFixMatch(Algorithm):
    """FixMatch without the bias that pseudo-labels bring into the risk.

    ``loss = [CE(p(weak x), y) + CE(p(strong x), y)] / 2 + unlabeled_weight * [H(u) - H(x)]``, where ``H(v) =
    mean(1[max q >= threshold] * CE(p(strong v), argmax q))``, ``q = p(weak v)`` detached, is FixMatch's
    unlabeled term: taken for the unlabeled images, and subtracted for the labeled ones, whose classes it
    does not look at. As both are drawn alike, the two cancel on average, and what is minimized is an
    unbiased estimate of the risk at any weight. It can be negative.

    What becomes of predictions by ``targets`` becomes of those for labeled images too.

    Args:
        threshold: tau, the confidence a pseudo-label must reach, in [0, 1].
        unlabeled_weight: lambda, weight of the unlabeled term and of what is subtracted.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
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
        threshold: float = 0.95,
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        for option in ("balance_classes", "adaptive_thresholds"):
            if getattr(targets, option):
                raise UserError(
                    f"`{option}` chooses among unlabeled images, and DeFixMatch must choose labeled ones "
                    "by the same rule: leave it out"
                )
        self.threshold = threshold
        self.unlabeled_weight = unlabeled_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("DeFixMatch", fixed=True)
        self.adjust = Adjuster(targets)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the method, with the mixing terms."""
        x, labels, u = parts(self, batch)
        weak = torch.cat((x, u.views["weak"]))
        strong = torch.cat((batch.labeled.views["strong"], u.views["strong"]))
        logits_weak, logits_strong = together(nets.student, weak, strong)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), weak, step)
        guess = hard_pseudo_labels(adjusted.probabilities, None, self.threshold)
        costs = guess.mask * F.cross_entropy(logits_strong, guess.labels, reduction="none")
        supervised = F.cross_entropy(
            torch.cat((logits_weak[: len(x)], logits_strong[: len(x)])), torch.cat((labels, labels))
        )

        pseudo = hard_pseudo_labels(adjusted.probabilities[len(x) :], u.indices, self.threshold)
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, supervised),
            "unlabeled": (self.unlabeled_weight, costs[len(x) :].mean()),
            "debiasing": (-self.unlabeled_weight, costs[: len(x)].mean()),
        }
        return step_output(terms, mixed, pseudo, adjusted.news)
