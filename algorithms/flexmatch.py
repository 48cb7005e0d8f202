"""FlexMatch: a lower threshold for the classes that are learned more slowly.

Source: Zhang et al., "FlexMatch: Boosting Semi-Supervised Learning with Curriculum Pseudo Labeling" (NeurIPS
2021), equations 5 to 10, Algorithm 1. Images are counted as learned at the fixed threshold, not at the
flexible one, as in Algorithm 1.

Expected error (CIFAR-10, TorchSSL, best checkpoint): 4.97 +- 0.06 (40 labels), 4.98 +- 0.09 (250), 4.19 +-
0.01 (4000).
"""

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.banks import LastClasses, known_indices
from ssl_mix.errors import check_choice, check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import WeakPass, with_answers
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task

Mapping = Literal["convex", "linear", "concave"]


class FlexMatch(Algorithm):
    """FixMatch with a lower threshold for the classes that are learned more slowly.

    ``tau_c = threshold * M(beta_c)``, ``beta_c = sigma_c / max(max sigma, never)``: sigma_c unlabeled images
    were last confidently taken for class c, and ``never`` have not been yet. A pseudo-label of class c counts
    where ``max q >= tau_c``; everything else is as in FixMatch. The thresholds of a step come from the steps
    before it.

    Args:
        threshold: tau, the confidence from which an image counts as learned, in [0, 1].
        mapping: M(x): "convex" x / (2 - x), "linear" x, or "concave" ln(1 + x) / ln 2.
        threshold_warmup: count ``never`` in; without it, thresholds are high as soon as one image is learned.
        unlabeled_weight: lambda_u, weight of the unlabeled term.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        weak_pass: all views go through the network "together", or "apart", the weak ones without gradient:
            faster, with batch-norm statistics of their own. Without such statistics both are the same.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the thresholds.

    Attributes:
        learned: the class that each unlabeled image was last confidently taken for, and counts of those.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak", "strong")
    learned: LastClasses

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        mapping: Mapping = "convex",
        threshold_warmup: bool = True,
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        weak_pass: WeakPass = "together",
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_choice("mapping", mapping, get_args(Mapping))
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        check_choice("weak_pass", weak_pass, get_args(WeakPass))
        self.threshold, self.mapping, self.threshold_warmup = threshold, mapping, threshold_warmup
        self.unlabeled_weight = unlabeled_weight
        self.unlabeled_ratio, self.weak_pass = unlabeled_ratio, weak_pass
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("FlexMatch", margins=True)
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """A slot for each unlabeled image."""
        self.learned = LastClasses(task.num_unlabeled, task.num_classes)
        return super().extend(net, task)

    def thresholds(self) -> Tensor:
        """tau_c of every class, (C,)."""
        counts = self.learned.counts.float()
        never, learned = counts[0], counts[1:]
        most = learned.max()
        beta = learned / (torch.maximum(most, never) if self.threshold_warmup else most).clamp(min=1)
        mapped = {"convex": beta / (2 - beta), "linear": beta, "concave": torch.log2(1 + beta)}[self.mapping]
        return self.threshold * mapped

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the mixing terms."""
        x, labels, u = parts(self, batch)
        logits_x, logits_weak, logits_strong = with_answers(nets.student, x, u.views, self.weak_pass)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        learned = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        flexible = self.thresholds()[learned.labels]
        passing = learned._replace(mask=(learned.confidence >= flexible).float())
        pseudo, news = self.adjust.select(passing, adjusted)
        supervised = F.cross_entropy(logits_x, labels)
        costs = F.cross_entropy(self.adjust.margins(logits_strong), pseudo.labels, reduction="none")
        unsupervised = (pseudo.mask * costs).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {"labeled": (1.0, supervised), "unlabeled": (self.unlabeled_weight, unsupervised)}
        carry = {"indices": known_indices(u.indices), "labels": learned.labels, "learned": learned.mask}
        return step_output(terms, mixed, pseudo, carry | news)

    def commit(self, carry: dict[str, Tensor]) -> None:
        """Enter the confident pseudo-labels of the step."""
        super().commit(self.learned.enter(carry))
