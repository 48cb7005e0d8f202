"""UDA: strongly altered images should get the sharpened answer of gently altered ones.

Source: Xie et al., "Unsupervised Data Augmentation for Consistency Training" (NeurIPS 2020), with confidence
masking, sharpening and training signal annealing (TSA).

Expected error (CIFAR-10, TorchSSL, best checkpoint): 10.62 +- 3.75 (40 labels), 5.16 +- 0.06 (250), 4.29 +-
0.07 (4000).
"""

import math
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_choice, check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import WeakPass, with_answers
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted, sharpen
from ssl_mix.types import Batch, Nets, Step, StepOutput

Annealing = Literal["none", "linear", "log", "exp"]
Confidence = Literal["true", "max"]
MeanOver = Literal["batch", "kept"]


class UDA(Algorithm):
    """Give strongly altered images the sharpened answer of gently altered ones.

    ``loss = CE(p(weak x), y) + unlabeled_weight * mean(1[max q >= threshold] * CE(p(strong u), softmax(z /
    temperature)))`` with ``q = softmax(z)``, ``z`` the detached logits of weak u, plus the terms of
    ``mixing``. The threshold looks at q, not at the sharpened answer. One forward pass serves all three
    views.

    With annealing the labeled term counts only images whose confidence is at most ``a(t) (1 - 1/C) + 1/C``.

    Args:
        threshold: the confidence a pseudo-label must reach, in [0, 1].
        temperature: of the sharpened target.
        unlabeled_weight: weight of the unlabeled term.
        tsa: a(t) of the annealing: "linear" t/T, "log" 1 - exp(-5 t/T), "exp" exp(5 (t/T - 1)); "none" counts
            all.
        tsa_confidence: the probability of the "true" class (paper), or the largest ("max", TorchSSL).
        tsa_mean: divide the labeled term by the size of the "batch" (TorchSSL), or by the number "kept"
            (Google).
        unlabeled_ratio: unlabeled images per labeled one in a batch.
        weak_pass: all views go through the network "together", or "apart", the weak ones without gradient:
            faster, with batch-norm statistics of their own. Without such statistics both are the same.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before the threshold and the sharpening.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.8,
        temperature: float = 0.4,
        unlabeled_weight: float = 1.0,
        tsa: Annealing = "none",
        tsa_confidence: Confidence = "true",
        tsa_mean: MeanOver = "batch",
        unlabeled_ratio: int = 7,
        weak_pass: WeakPass = "together",
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_positive("temperature", temperature)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_choice("tsa", tsa, get_args(Annealing))
        check_choice("tsa_confidence", tsa_confidence, get_args(Confidence))
        check_choice("tsa_mean", tsa_mean, get_args(MeanOver))
        check_count("unlabeled_ratio", unlabeled_ratio)
        check_choice("weak_pass", weak_pass, get_args(WeakPass))
        self.threshold, self.temperature = threshold, temperature
        self.unlabeled_weight = unlabeled_weight
        self.tsa, self.tsa_confidence, self.tsa_mean = tsa, tsa_confidence, tsa_mean
        self.unlabeled_ratio, self.weak_pass = unlabeled_ratio, weak_pass
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("UDA", margins=True)
        self.adjust = Adjuster(targets)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        x, labels, u = parts(self, batch)
        logits_x, logits_weak, logits_strong = with_answers(nets.student, x, u.views, self.weak_pass)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        sharpened = sharpen(adjusted.probabilities, self.temperature)
        costs = F.cross_entropy(self.adjust.margins(logits_strong), sharpened, reduction="none")
        unsupervised = (pseudo.mask * costs).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, self._supervised(logits_x, labels, step)),
            "unlabeled": (self.unlabeled_weight, unsupervised),
        }
        return step_output(terms, mixed, pseudo, news)

    def _supervised(self, logits: Tensor, labels: Tensor, step: Step) -> Tensor:
        """Cross-entropy over the images that the annealing keeps."""
        if self.tsa == "none":
            return F.cross_entropy(logits, labels)
        probabilities = torch.softmax(logits.detach(), dim=1)
        by_class = probabilities.gather(1, labels[:, None])[:, 0]
        confidence = by_class if self.tsa_confidence == "true" else probabilities.amax(dim=1)
        kept = (confidence <= annealed_threshold(self.tsa, step.progress, logits.shape[1])).float()
        total = (kept * F.cross_entropy(logits, labels, reduction="none")).sum()
        return total / (len(kept) if self.tsa_mean == "batch" else kept.sum().clamp(min=1))


def annealed_threshold(tsa: Annealing, progress: float, classes: int) -> float:
    """The confidence above which a labeled image counts nothing yet: from 1 / C to 1 over the run."""
    shares = {
        "linear": progress,
        "log": 1 - math.exp(-5 * progress),
        "exp": math.exp(5 * (progress - 1)),
        "none": 1.0,
    }
    return shares[tsa] * (1 - 1 / classes) + 1 / classes
