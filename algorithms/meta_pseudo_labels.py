"""Meta Pseudo Labels: a second network makes the pseudo-labels, and learns from how much they helped.

Source: Pham et al., "Meta Pseudo Labels" (CVPR 2021), section 3, with the UDA objective of its appendix;
settings of the CIFAR-10 runs of a common PyTorch code (kekmodel/MPL-pytorch). Differs: both networks step at
once, so the student's step is looked ahead within ``forward`` (``torch.func``), a plain gradient step of a
length of its own, while the student takes the optimizer's. The sign of the feedback is the paper's, h > 0
where the labeled loss fell; the codes have the other one, and the authors' subtracts a moving average. The
feedback is about the labels that the student learned, as in the paper; the codes take the likeliest class of
the strong view. Both networks begin with the same weights; there are no label smoothing and no dropout. The
paper fine-tunes the student on the labeled images afterwards: ``ssl-mix train supervised --pretrained RUN``.

Published error (CIFAR-10, WRN-28-2, 4000 labels, fine-tuned): 3.89 +- 0.07; the common code: 3.99 without and
3.92 with fine-tuning.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import frozen_running_statistics, full_precision, logits_of, together
from ssl_mix.ranks import averaged
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted, ramp_up, sharpen
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class MetaPseudoLabels(Algorithm):
    """A tutor makes pseudo-labels for the student, and is told whether they lowered its loss on labeled
    images.

    The tutor T and the student S are trained at once. ``q = T(weak u)``, ``c = argmax q``. The student's loss
    is ``CE(S(strong u), c)`` over all unlabeled images; ``h = CE(S(x), y) - CE(S+(x), y)``, where S+ is S
    after a gradient step of length ``lookahead`` on it. The tutor's is ``CE(T(x), y) + unlabeled_weight *
    w(t) * mean(1[max q >= threshold] * CE(T(strong u), sharpen(q))) + feedback_weight * h * CE(T(strong u),
    c)``. ``loss`` is ``student_weight`` times the first plus the second, plus the terms of ``mixing``, which
    the student learns. The student is what is evaluated. The tutor normalizes by the batch.

    Args:
        threshold: confidence that a pseudo-label must reach to teach the tutor, in [0, 1].
        temperature: of the sharpening.
        unlabeled_weight: of the tutor's consistency.
        ramp: share of the run in which that weight grows evenly from 0: ``w(t) = min(1, t / (ramp T))``.
        feedback_weight: of what the student's progress says.
        student_weight: of the student's loss.
        lookahead: eta_S, the learning rate of the student's step that is looked ahead.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the student's loss: decoupled mixup (DM) and the asymmetric strategy
            (AS), with the pseudo-labels that teach the tutor.
        targets: what makes pseudo-labels less biased before anything reads them.

    Attributes:
        tutor: T, a copy of the network that is trained with it.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.6,
        temperature: float = 0.7,
        unlabeled_weight: float = 8.0,
        ramp: float = 1 / 60,
        feedback_weight: float = 1.0,
        student_weight: float = 1.0,
        lookahead: float = 0.03,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_positive("temperature", temperature)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_share("ramp", ramp)
        check_not_negative("feedback_weight", feedback_weight)
        check_not_negative("student_weight", student_weight)
        check_not_negative("lookahead", lookahead)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.temperature = threshold, temperature
        self.unlabeled_weight, self.ramp = unlabeled_weight, ramp
        self.feedback_weight, self.student_weight = feedback_weight, student_weight
        self.lookahead, self.unlabeled_ratio = lookahead, unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("MetaPseudoLabels", fixed=True)
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """The tutor."""
        self.tutor = copy.deepcopy(net)
        return super().extend(net, task)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1 for both networks, with the mixing terms."""
        x, labels, u = parts(self, batch)
        weak, strong = (u.views[name] for name in self.unlabeled_views)
        with frozen_running_statistics(self.tutor):
            logits_x, logits_weak, logits_strong = together(self.tutor, x, weak, strong)
        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), weak, step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        student = F.cross_entropy(logits_of(nets.student, strong), pseudo.labels)
        gain = self._gain(nets.student, student, x, labels)

        target = sharpen(adjusted.probabilities, self.temperature)
        losses = F.cross_entropy(logits_strong, target, reduction="none")
        ramp = self.unlabeled_weight * ramp_up(step, self.ramp)
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "unlabeled": (ramp, (pseudo.mask * losses).mean()),
            "feedback": (self.feedback_weight, gain * F.cross_entropy(logits_strong, pseudo.labels)),
            "student": (self.student_weight, student),
        }
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        return step_output(terms, mixed, pseudo, news)

    def _gain(self, student: nn.Module, loss: Tensor, x: Tensor, labels: Tensor) -> Tensor:
        """h, 0-d without gradient."""
        weights = {name: weight for name, weight in student.named_parameters() if weight.requires_grad}
        slopes = torch.autograd.grad(
            loss, tuple(weights.values()), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        with torch.no_grad(), frozen_running_statistics(student):
            moved = {
                name: weight - self.lookahead * slope
                for (name, weight), slope in zip(weights.items(), averaged(slopes), strict=True)
            }
            before, after = logits_of(student, x), full_precision(functional_call(student, moved, (x,)))
            return F.cross_entropy(before, labels) - F.cross_entropy(after, labels)
