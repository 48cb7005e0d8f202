"""Noisy Student: learn, from altered images, what a trained classifier says of them as they are.

Source: Xie et al., "Self-training with Noisy Student improves ImageNet classification" (CVPR 2020),
Algorithm 1. A round is two runs: the teacher, by any algorithm, and this one, which starts from it
(``--pretrained RUN``); the next round starts from this run. Differs: the student has the teacher's network
and begins with its weights, where the paper begins anew with one as large or larger; classes are balanced by
``--balance-classes`` alone, where the paper doubles images of rare classes.

Published accuracy (ImageNet, EfficientNet-B0, 300 million unlabeled images): 78.8 %, 77.3 % without them.
"""

import copy
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, check_batch, step_output
from ssl_mix.errors import UserError, check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import logits_of, together
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class NoisyStudent(Algorithm):
    """Learn the answers that the network gave before training, from strong views.

    ``loss = CE(p(strong x), y) + unlabeled_weight * mean(1[max q >= threshold] * CE(p(strong u), q))``, plus
    the terms of ``mixing``; q are the soft answers to plain images of the network as it was before the first
    step, in evaluation mode.

    Args:
        threshold: confidence that an answer must reach, in [0, 1].
        unlabeled_weight: weight of the unlabeled term.
        unlabeled_ratio: unlabeled images per labeled one in a batch; the paper: 14 for large networks, 1 for
            small ones.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes the answers less biased before they are held against the threshold.

    Attributes:
        first: the network as it was, frozen.

    Raises:
        ValueError: an argument is out of range; in ``begin``: the network has random weights.
    """

    labeled_views = ("strong",)
    unlabeled_views = ("plain", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.3,
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.unlabeled_weight = threshold, unlabeled_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("NoisyStudent", fixed=True)
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """A frozen copy of the network."""
        net = super().extend(net, task)
        self.first = copy.deepcopy(net).requires_grad_(False).eval()
        return net

    def train(self, mode: bool = True) -> "NoisyStudent":
        """The frozen copy stays in evaluation mode."""
        super().train(mode)
        if hasattr(self, "first"):
            self.first.eval()
        return self

    def begin(self, nets: Nets, labeled: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Refuse a network that knows nothing."""
        if getattr(nets.student, "source_head", None) is None:
            raise UserError(
                "NoisyStudent learns what a trained network answers, and this one has random weights: start "
                "from the folder of a run (`pretrained=RUN`)"
            )

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        check_batch(self, batch)
        assert batch.unlabeled is not None and batch.labeled.target is not None
        x, labels, u = batch.labeled.views["strong"], batch.labeled.target, batch.unlabeled
        with torch.no_grad():
            answer = predicted(logits_of(self.first, u.views["plain"]))
        adjusted = self.adjust(answer, nets, (x, labels), u.views["plain"], step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)

        logits_x, logits_u = together(nets.student, x, u.views["strong"])
        losses = F.cross_entropy(logits_u, adjusted.probabilities, reduction="none")
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "unlabeled": (self.unlabeled_weight, (pseudo.mask * losses).mean()),
        }
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        return step_output(terms, mixed, pseudo, news)
