"""ReFixMatch: FixMatch that learns from the pseudo-labels that are not confident too, as soft ones.

Source: Nguyen and Yang, "Boosting Semi-Supervised Learning by Bridging High and Low-Confidence Predictions"
(ICCV workshops 2023), and the authors' code in beandkay/SequenceMatch (``use_refixmatch``). USB's
``refixmatch`` gives the soft term to the confident pseudo-labels instead, and does not sharpen it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import together
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted, sharpen
from ssl_mix.types import Batch, Nets, Step, StepOutput


class ReFixMatch(Algorithm):
    """FixMatch that learns from the pseudo-labels that are not confident too, as soft ones.

    ``loss = CE(p(weak x), y) + unlabeled_weight * mean(m * CE(p(strong u), argmax q)) + unconfident_weight *
    mean((1 - m) * KL(t || p(strong u)))`` with ``q = p(weak u)`` detached, ``m = 1[max q >= threshold]`` and
    ``t ~ q^(1 / temperature)``.

    Args:
        threshold: tau, the confidence from which a pseudo-label is hard, in [0, 1].
        temperature: of the sharpening of the soft ones.
        unlabeled_weight: weight of the confident pseudo-labels.
        unconfident_weight: weight of the others.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
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
        temperature: float = 0.5,
        unlabeled_weight: float = 1.0,
        unconfident_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_positive("temperature", temperature)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_not_negative("unconfident_weight", unconfident_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.temperature = threshold, temperature
        self.unlabeled_weight, self.unconfident_weight = unlabeled_weight, unconfident_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("ReFixMatch", margins=True)
        self.adjust = Adjuster(targets)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the method, with the mixing terms."""
        x, labels, u = parts(self, batch)
        logits_x, logits_weak, logits_strong = together(nets.student, x, u.views["weak"], u.views["strong"])

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        soft = divergence(sharpen(adjusted.probabilities, self.temperature), logits_strong)
        costs = F.cross_entropy(self.adjust.margins(logits_strong), pseudo.labels, reduction="none")
        unsupervised = (pseudo.mask * costs).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "unlabeled": (self.unlabeled_weight, unsupervised),
            "unconfident": (self.unconfident_weight, ((pseudo.mask == 0) * soft).mean()),
        }
        return step_output(terms, mixed, pseudo, news)


def divergence(target: Tensor, logits: Tensor) -> Tensor:
    """``KL(t || softmax(logits))`` of each row, (N,).

    Args:
        target: t, distributions (N, C) without gradient.
        logits: (N, C).
    """
    return F.kl_div(torch.log_softmax(logits, dim=1), target, reduction="none").sum(dim=1)
