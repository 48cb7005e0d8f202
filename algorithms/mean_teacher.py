"""Mean Teacher: agree with the moving average of yourself.

Source: Tarvainen & Valpola, "Mean teachers are better role models" (NeurIPS 2017), equation 1. As in the
semi-supervised benchmarks, the teacher normalizes by the batch and keeps no statistics of it.

Expected error (CIFAR-10, TorchSSL, best checkpoint): 70.09 +- 1.60 (40 labels), 37.46 +- 3.30 (250), 8.10 +-
0.21 (4000). The numbers of USB are of a version whose consistency loss was always zero.
"""

import torch
import torch.nn.functional as F

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import apart, batch_statistics, logits_of
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, ramp_up
from ssl_mix.types import Batch, Nets, Step, StepOutput


class MeanTeacher(Algorithm):
    """Agree with the teacher, the moving average of the network, on another view of the image.

    ``loss = CE(p(x), y) + unlabeled_weight * w(t) * mean (p(u) - q)^2`` over images and classes, ``q`` the
    teacher's answer to another weak view, plus the terms of ``mixing``. The labeled images alone move the
    running batch-norm statistics.

    Args:
        unlabeled_weight: weight of the unlabeled term.
        ramp: share of the run in which that weight grows evenly from 0: ``w(t) = min(1, t / (ramp T))``.
        unlabeled_ratio: unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS), with
            the teacher's pseudo-labels, each of which counts.
        targets: what makes pseudo-labels less biased before they are targets.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak", "weak2")
    selects = False

    def __init__(
        self,
        *,
        unlabeled_weight: float = 50.0,
        ramp: float = 0.4,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_share("ramp", ramp)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.unlabeled_weight = unlabeled_weight
        self.ramp = ramp
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("MeanTeacher", selected=self.mixing.masked, threshold=False)
        self.adjust = Adjuster(targets)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        x, labels, u = parts(self, batch)
        supervised = F.cross_entropy(logits_of(nets.student, x), labels)
        answer = torch.softmax(apart(nets.student, u.views["weak"]), dim=1)
        with torch.no_grad(), batch_statistics(nets.teacher):
            target = torch.softmax(logits_of(nets.teacher, u.views["weak2"]), dim=1)
        adjusted = self.adjust(target, nets, (x, labels), u.views["weak2"], step)
        unsupervised = F.mse_loss(answer, adjusted.probabilities)

        pseudo, news = self.adjust.select(hard_pseudo_labels(adjusted.probabilities, u.indices), adjusted)
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        weight = self.unlabeled_weight * ramp_up(step, self.ramp)
        terms = {"labeled": (1.0, supervised), "unlabeled": (weight, unsupervised)}
        return step_output(terms, mixed, pseudo, news)
