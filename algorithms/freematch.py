"""FreeMatch: thresholds that follow how sure the network has become, over all and of each class.

Source: Wang et al., "FreeMatch: Self-adaptive Thresholding for Semi-supervised Learning" (ICLR 2023),
equations 5 to 11, Algorithm 1. As in the published code, the averages take the step in before the mask looks
at them.

Expected error (CIFAR-10, USB, best checkpoint): 4.97 +- 0.09 (40 labels), 4.85 +- 0.10 (250), 4.14 +- 0.19
(4000).
"""

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import UserError, check_choice, check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import WeakPass, with_answers
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class FreeMatch(Algorithm):
    """FixMatch with thresholds that follow how sure the network has become.

    ``tau_c = tau * m_c / max m``: tau is the moving average of the mean confidence, m_c that of the mean
    probability of class c. A pseudo-label of class c counts where ``max q >= tau_c``. The self-adaptive
    fairness term ``sum_c a_c log b_c``, ``a`` ~ m / h and ``b`` ~ mean p(strong u) / h' over the
    pseudo-labels that count (each made to sum to 1; h, h' the histograms of predicted classes), is negative
    by design: it keeps the answers spread over the classes. Everything else is as in FixMatch.

    Args:
        average_decay: of the moving averages.
        fairness_weight: weight of the fairness term.
        lowest_threshold: tau is never below; the published code has 0.9 (TorchSSL) for SVHN.
        highest_threshold: tau is never above; the published code has 0.95 for SVHN.
        unlabeled_weight: weight of the unlabeled term.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        weak_pass: all views go through the network "together", or "apart", the weak ones without gradient:
            faster, with batch-norm statistics of their own. Without such statistics both are the same.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the thresholds.

    Attributes:
        global_threshold: tau, 0-d; 1 / C at first.
        class_mean: m, (C,); 1 / C at first.
        class_histogram: h, (C,); 1 / C at first.

    Raises:
        ValueError: an argument is out of range.

    Differs from the published code: a class that no strongly altered image is taken for adds 0 to the
    fairness term, where the code adds the constant ``a_c log 1e-12``; the gradient is the same.
    """

    unlabeled_views = ("weak", "strong")
    global_threshold: Tensor
    class_mean: Tensor
    class_histogram: Tensor

    def __init__(
        self,
        *,
        average_decay: float = 0.999,
        fairness_weight: float = 0.001,
        lowest_threshold: float = 0.0,
        highest_threshold: float = 1.0,
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        weak_pass: WeakPass = "together",
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        for name, share in (("average_decay", average_decay), ("lowest_threshold", lowest_threshold)):
            check_share(name, share)
        check_share("highest_threshold", highest_threshold)
        if lowest_threshold > highest_threshold:
            raise UserError(
                f"lowest_threshold ({lowest_threshold}) must not be above highest_threshold "
                f"({highest_threshold})"
            )
        check_not_negative("fairness_weight", fairness_weight)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        check_choice("weak_pass", weak_pass, get_args(WeakPass))
        self.average_decay, self.fairness_weight = average_decay, fairness_weight
        self.lowest_threshold, self.highest_threshold = lowest_threshold, highest_threshold
        self.unlabeled_weight = unlabeled_weight
        self.unlabeled_ratio, self.weak_pass = unlabeled_ratio, weak_pass
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("FreeMatch", margins=True)
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """The moving averages."""
        uniform = torch.full((task.num_classes,), 1 / task.num_classes)
        self.register_buffer("global_threshold", uniform[0].clone())
        self.register_buffer("class_mean", uniform.clone())
        self.register_buffer("class_histogram", uniform.clone())
        return super().extend(net, task)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the mixing terms."""
        x, labels, u = parts(self, batch)
        logits_x, logits_weak, logits_strong = with_answers(nets.student, x, u.views, self.weak_pass)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        weak = adjusted.probabilities
        averages = self._averages(weak)
        by_class = averages["global_threshold"] * averages["class_mean"] / averages["class_mean"].max()
        passing = hard_pseudo_labels(weak, u.indices, by_class[weak.argmax(dim=1)])
        pseudo, news = self.adjust.select(passing, adjusted)
        supervised = F.cross_entropy(logits_x, labels)
        costs = F.cross_entropy(self.adjust.margins(logits_strong), pseudo.labels, reduction="none")
        unsupervised = (pseudo.mask * costs).mean()
        wanted = averages["class_mean"] / averages["class_histogram"]

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, supervised),
            "unlabeled": (self.unlabeled_weight, unsupervised),
            "fairness": (self.fairness_weight, fairness(logits_strong, pseudo.mask, wanted)),
        }
        return step_output(terms, mixed, pseudo, averages | news)

    def _averages(self, weak: Tensor) -> dict[str, Tensor]:
        """The moving averages with this step's predictions (N, C) taken in; the bounds hold for the average
        itself."""
        histogram = F.one_hot(weak.argmax(dim=1), weak.shape[1]).float().mean(dim=0)
        now = {
            "global_threshold": weak.amax(dim=1).mean(),
            "class_mean": weak.mean(dim=0),
            "class_histogram": histogram,
        }
        moved = {n: torch.lerp(new, getattr(self, n).to(new), self.average_decay) for n, new in now.items()}
        bounded = moved["global_threshold"].clamp(self.lowest_threshold, self.highest_threshold)
        return moved | {"global_threshold": bounded}


def fairness(logits: Tensor, mask: Tensor, wanted: Tensor) -> Tensor:
    """``sum_c a_c log b_c``: ``a`` is ``wanted`` made to sum to 1, b the mean answer over its histogram,
    likewise.

    Args:
        logits: of strongly altered images, (N, C).
        mask: 1 for those that count, (N,).
        wanted: (C,), not negative.
    """
    answers = torch.softmax(logits, dim=1)
    chosen = F.one_hot(logits.argmax(dim=1), logits.shape[1])
    mean, histogram = ((mask[:, None] * each).sum(dim=0) for each in (answers, chosen))
    there = histogram > 0
    spread = torch.where(there, mean / histogram.where(there, 1), 0)
    spread = spread / spread.sum().where(there.any(), 1)
    return ((wanted / wanted.sum()) * spread.where(there, 1).log()).sum()
