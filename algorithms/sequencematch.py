"""SequenceMatch: the answers to views of three strengths are drawn together, each towards a gentler one.

Source: Nguyen, "SequenceMatch: Revisiting the Design of Weak-Strong Augmentations for Semi-Supervised
Learning" (WACV 2024), and beandkay/SequenceMatch, with its fixed threshold. The term of low confidence,
which the paper names, is off by default in that code (``use_refixmatch``): 0 for ``unconfident_weight``. A
medium view has one operation of RandAugment and Cutout, as there. USB has FlexMatch's thresholds, masks all
divergences by the weak view, and takes the softmax of probabilities over T for the sharpened ones, which is
nearly uniform.
"""

import torch.nn.functional as F

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.algorithms.refixmatch import divergence
from ssl_mix.errors import check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import together
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted, sharpen
from ssl_mix.types import Batch, Nets, Step, StepOutput


class SequenceMatch(Algorithm):
    """FixMatch with a medium view between the weak and the strong one.

    ``loss = CE(p(weak x), y) + unlabeled_weight * mean(m_w CE(p(strong u), argmax q_w)) + sequence_weight *
    mean(m_w KL(t_w || p(medium u)) + m_m KL(t_m || p(strong u)) + m_w KL(t_w || p(strong u))) +
    unconfident_weight * mean((1 - m_w) KL(t_w || p(strong u)))``. q_w and q_m are the answers to the weak
    and the medium view, detached, m is ``1[max q >= threshold]``, and ``t ~ q^(1 / temperature)``.

    Args:
        threshold: tau, the confidence from which a view counts, in [0, 1].
        temperature: T, of the sharpening.
        unlabeled_weight: weight of the confident pseudo-labels.
        sequence_weight: weight of the divergences between the three views, where the gentler one is
            confident.
        unconfident_weight: weight of that between weak and strong where the weak one is not.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the threshold.

    Raises:
        ValueError: an argument is out of range.
    """

    needs_body = "alters images by a medium strength too"

    unlabeled_views = ("weak", "medium", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        temperature: float = 0.5,
        unlabeled_weight: float = 1.0,
        sequence_weight: float = 1.0,
        unconfident_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_positive("temperature", temperature)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_not_negative("sequence_weight", sequence_weight)
        check_not_negative("unconfident_weight", unconfident_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.temperature = threshold, temperature
        self.unlabeled_weight, self.sequence_weight = unlabeled_weight, sequence_weight
        self.unconfident_weight = unconfident_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("SequenceMatch", fixed=True)
        self.adjust = Adjuster(targets)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the method, with the mixing terms."""
        x, labels, u = parts(self, batch)
        weak, medium, strong = (u.views[name] for name in self.unlabeled_views)
        logits_x, logits_weak, logits_medium, logits_strong = together(nets.student, x, weak, medium, strong)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), weak, step)
        middle = self.adjust(predicted(logits_medium), nets, (x, labels), medium, step).probabilities
        pseudo, news = self.adjust.select(
            hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold), adjusted
        )
        target, confident = sharpen(adjusted.probabilities, self.temperature), pseudo.mask
        between = (middle.amax(dim=1) >= self.threshold).float()
        weak_strong = divergence(target, logits_strong)
        sequence = confident * (divergence(target, logits_medium) + weak_strong)
        sequence = sequence + between * divergence(sharpen(middle, self.temperature), logits_strong)
        unsupervised = (confident * F.cross_entropy(logits_strong, pseudo.labels, reduction="none")).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "unlabeled": (self.unlabeled_weight, unsupervised),
            "sequence": (self.sequence_weight, sequence.mean()),
            "unconfident": (self.unconfident_weight, ((1 - confident) * weak_strong).mean()),
        }
        return step_output(terms, mixed, pseudo, news)
