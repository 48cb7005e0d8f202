"""Dash: learn from the pseudo-labels whose loss is below a threshold that falls with training.

Source: Xu et al., "Dash: Semi-Supervised Learning with Dynamic Thresholding" (ICML 2021), Algorithm 1 and
equation 7, on top of FixMatch. Its 1024 epochs with a lower threshold every tenth are ``falls`` 102.

Differs: the loss after the warm-up is a moving average over the labeled batches of the warm-up, not measured
on all labeled images after it. USB measures it on the test part, and begins to count its steps anew.

Expected error (CIFAR-10, USB, best checkpoint): 15.01 +- 3.70 (40 labels), 5.13 +- 0.26 (250), 4.35 +- 0.09
(4000).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import UserError, check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import together
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted, sharpen
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task

DECAY = 0.9  # of the average of the labeled loss


class Dash(Algorithm):
    """FixMatch with a threshold on the loss that falls with training.

    ``loss = CE(p(weak x), y) + unlabeled_weight * mean(1[H(t, q) <= rho] * H(t, p(strong u)))`` with ``q =
    p(weak u)`` detached. ``rho = max(lowest_loss, slack * gamma^-k * rho_0)``: k is the number of falls so
    far, ``falls`` of them evenly over the rest of the run, and rho_0 the loss of the labeled images at the
    end of the warm-up, in which they are learned from alone. The target t is q sharpened as long as rho is
    above ``lowest_loss``, and from then on its class alone, where ``H(t, q) = -log max q``.

    Args:
        warmup: share of the run in which labeled images alone are learned from, one step at least.
        falls: how often the threshold falls over the rest of the run.
        gamma: by which it is divided each time, at least 1.
        slack: C, above the loss of labeled images.
        lowest_loss: the threshold is never below; 0.05 is a confidence of 0.95.
        temperature: of the sharpening.
        unlabeled_weight: weight of the unlabeled term.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before their loss is looked at.

    Attributes:
        labeled_loss: rho_0, 0-d; log C before the first step.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak", "strong")
    labeled_loss: Tensor

    def __init__(
        self,
        *,
        warmup: float = 0.02,
        falls: int = 102,
        gamma: float = 1.27,
        slack: float = 1.0001,
        lowest_loss: float = 0.05,
        temperature: float = 0.5,
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("warmup", warmup)
        check_count("falls", falls)
        if not 1 <= gamma < float("inf"):
            raise UserError(f"gamma must be at least 1, or the threshold rises, got {gamma}")
        for name, value in (("slack", slack), ("lowest_loss", lowest_loss), ("temperature", temperature)):
            check_positive(name, value)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.warmup, self.falls, self.gamma, self.slack = warmup, falls, gamma, slack
        self.lowest_loss, self.temperature = lowest_loss, temperature
        self.unlabeled_weight = unlabeled_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("Dash", margins=True)
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """The loss of labeled images."""
        self.register_buffer("labeled_loss", torch.tensor(float(task.num_classes)).log())
        return super().extend(net, task)

    def warms_up(self, step: Step) -> bool:
        """Whether labeled images alone are learned from."""
        return step.number == 0 or step.number < self.warmup * step.total

    def threshold(self, step: Step) -> Tensor:
        """rho, 0-d."""
        first = self.warmup * step.total
        passed = max(0.0, (step.number - first) / max(1.0, step.total - first))
        rho = self.slack * self.gamma ** -int(self.falls * passed) * self.labeled_loss
        return rho.clamp(min=self.lowest_loss)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the mixing terms."""
        x, labels, u = parts(self, batch)
        logits_x, logits_weak, logits_strong = together(nets.student, x, u.views["weak"], u.views["strong"])

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        threshold, guess = self.threshold(step), hard_pseudo_labels(adjusted.probabilities, u.indices)
        target = self.target(adjusted.probabilities, threshold)
        own = -torch.xlogy(target, adjusted.probabilities).sum(dim=1)
        passing = torch.zeros_like(own) if self.warms_up(step) else (own <= threshold).float()
        pseudo, news = self.adjust.select(guess._replace(mask=passing), adjusted)
        supervised = F.cross_entropy(logits_x, labels)
        costs = F.cross_entropy(self.adjust.margins(logits_strong), target, reduction="none")
        unsupervised = (pseudo.mask * costs).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {"labeled": (1.0, supervised), "unlabeled": (self.unlabeled_weight, unsupervised)}
        return step_output(terms, mixed, pseudo, news | self._news(supervised, step))

    def target(self, probabilities: Tensor, threshold: Tensor) -> Tensor:
        """t, (N, C), for predictions (N, C)."""
        hard = F.one_hot(probabilities.argmax(dim=1), probabilities.shape[1]).to(probabilities)
        return torch.where(threshold > self.lowest_loss, sharpen(probabilities, self.temperature), hard)

    def _news(self, loss: Tensor, step: Step) -> dict[str, Tensor]:
        """The average of the labeled loss in the warm-up, a plain mean at first, with this step's taken
        in."""
        if not self.warms_up(step):
            return {}
        keep = min(DECAY, step.number / (step.number + 1))
        return {"labeled_loss": torch.lerp(loss.detach(), self.labeled_loss.to(loss), keep)}
