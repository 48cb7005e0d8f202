"""SoftMatch: weigh a pseudo-label by how its confidence compares with what is usual.

Source: Chen et al., "SoftMatch: Addressing the Quantity-Quality Trade-off in Semi-supervised Learning" (ICLR
2023), equations 5 to 9, Algorithm 1. As in the published code, the averages take the step in before the
weights look at them.

Expected error (CIFAR-10, USB, best checkpoint): 5.06 +- 0.02 (40 labels), 4.84 +- 0.10 (250), 4.27 +- 0.12
(4000).
"""

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_choice, check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import WeakPass, with_answers
from ssl_mix.targets import UNIFORM, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class SoftMatch(Algorithm):
    """FixMatch with a soft weight in place of a threshold.

    ``weight = exp(-min(c - mu, 0)^2 / (2 s / sigmas^2))``: c is the confidence of a pseudo-label, mu and s
    are moving averages of the mean and the variance of c. With alignment, which is uniform by default, c is
    the confidence after the pseudo-labels have been balanced over the classes (``q / m``, m the moving
    average of q, made to sum to 1); the predicted class is that of q itself.

    Args:
        average_decay: of the moving averages, that of the alignment too.
        sigmas: n_sigma: how fast the weight falls below the mean.
        unlabeled_weight: weight of the unlabeled term.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        weak_pass: all views go through the network "together", or "apart", the weak ones without gradient:
            faster, with batch-norm statistics of their own. Without such statistics both are the same.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS), with
            the soft weight as mask.
        targets: what makes pseudo-labels less biased before they are weighed.

    Attributes:
        confidence_mean: mu, 0-d; 1 / C at first.
        confidence_variance: s, 0-d; 1 at first.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak", "strong")
    confidence_mean: Tensor
    confidence_variance: Tensor

    def __init__(
        self,
        *,
        average_decay: float = 0.999,
        sigmas: float = 2.0,
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        weak_pass: WeakPass = "together",
        mixing: MixingTerms | Mix = "none",
        targets: Targets = UNIFORM,
    ) -> None:
        super().__init__()
        check_share("average_decay", average_decay)
        check_positive("sigmas", sigmas)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        check_choice("weak_pass", weak_pass, get_args(WeakPass))
        self.average_decay, self.sigmas = average_decay, sigmas
        self.unlabeled_weight = unlabeled_weight
        self.unlabeled_ratio, self.weak_pass = unlabeled_ratio, weak_pass
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("SoftMatch", selected=False, margins=True)
        self.adjust = Adjuster(targets, decay=average_decay, warmup=False)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """The moving averages."""
        self.register_buffer("confidence_mean", torch.full((), 1 / task.num_classes))
        self.register_buffer("confidence_variance", torch.ones(()))
        return super().extend(net, task)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the mixing terms."""
        x, labels, u = parts(self, batch)
        logits_x, logits_weak, logits_strong = with_answers(nets.student, x, u.views, self.weak_pass)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        confidence = adjusted.probabilities.amax(dim=1)
        variance, mean = torch.var_mean(confidence, correction=min(1, len(confidence) - 1))
        averages = {
            "confidence_mean": self._average("confidence_mean", mean),
            "confidence_variance": self._average("confidence_variance", variance),
        }
        below = (confidence - averages["confidence_mean"]).clamp(max=0)
        weight = torch.exp(-0.5 * (self.sigmas * below) ** 2 / averages["confidence_variance"])

        pseudo = hard_pseudo_labels(adjusted.smoothed, u.indices)._replace(mask=weight)
        supervised = F.cross_entropy(logits_x, labels)
        costs = F.cross_entropy(self.adjust.margins(logits_strong), pseudo.labels, reduction="none")
        unsupervised = (pseudo.mask * costs).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {"labeled": (1.0, supervised), "unlabeled": (self.unlabeled_weight, unsupervised)}
        return step_output(terms, mixed, pseudo, averages | adjusted.news)

    def _average(self, name: str, new: Tensor) -> Tensor:
        """A moving average with this step's value taken in."""
        return torch.lerp(new, getattr(self, name).to(new), self.average_decay)
