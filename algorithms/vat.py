"""Virtual adversarial training: give the same answer in the direction in which it would change most.

Source: Miyato et al., "Virtual Adversarial Training: A Regularization Method for Supervised and
Semi-Supervised Learning" (TPAMI 2018), Algorithm 1, with entropy minimization (VAT + EntMin). Differs: the
length of the probe. In single precision the published 1e-6 is lost in rounding: the direction found has a
cosine of -0.05 to 0.06 with the true one for untrained small-cnn and WRN-28-2, where 0.01 has 0.997 to 0.999.

Expected error (CIFAR-10, TorchSSL, best checkpoint): 74.66 +- 2.12 (40 labels), 41.03 +- 1.79 (250), 10.51 +-
0.12 (4000).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import UserError, check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import apart, logits_of
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, ramp_up
from ssl_mix.types import Batch, Nets, Step, StepOutput


class VAT(Algorithm):
    """Keep the answer steady in the direction in which it would change most.

    ``loss = CE(p(x), y) + unlabeled_weight * w(t) * mean KL(q || p(u + r)) + entropy_weight * mean H(p(u))``
    with ``q = p(u)`` detached and r of length ``radius`` along the gradient of ``KL(q || p(u + probe d))``,
    found by power iteration from a random unit vector d, plus the terms of ``mixing``. The labeled images
    alone move the running batch-norm statistics.

    Args:
        unlabeled_weight: weight of the adversarial term.
        entropy_weight: weight of the entropy of the answers, from the first step on.
        radius: epsilon, length of r in units of the normalized images; 6 suits 32 x 32 images, 2 suits 8 x 8
            digits.
        probe: xi, length of the step by which the power iteration looks around.
        power_iterations: how often the direction is refined.
        ramp: share of the run in which the adversarial weight grows evenly from 0: ``w(t) = min(1, t / (ramp
            T))``.
        unlabeled_ratio: unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS); every
            pseudo-label counts.
        targets: what makes pseudo-labels less biased before mixing reads them.

    Raises:
        ValueError: an argument is out of range.
    """

    unlabeled_views = ("weak",)
    selects = False

    def __init__(
        self,
        *,
        unlabeled_weight: float = 1.0,
        entropy_weight: float = 0.06,
        radius: float = 6.0,
        probe: float = 0.01,
        power_iterations: int = 1,
        ramp: float = 0.4,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_not_negative("entropy_weight", entropy_weight)
        check_positive("radius", radius)
        check_positive("probe", probe)
        check_count("power_iterations", power_iterations)
        check_share("ramp", ramp)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.unlabeled_weight, self.entropy_weight = unlabeled_weight, entropy_weight
        self.radius, self.probe, self.power_iterations = radius, probe, power_iterations
        self.ramp = ramp
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check(
            "VAT", used=self.mixing.asymmetric, selected=self.mixing.masked, threshold=False
        )
        self.adjust = Adjuster(targets)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        x, labels, u = parts(self, batch)
        images = u.views["weak"]
        if not images.is_floating_point():
            raise UserError(f"VAT moves its inputs along a gradient: they must be floats, got {images.dtype}")
        supervised = F.cross_entropy(logits_of(nets.student, x), labels)
        direction = torch.randn(images.shape, generator=step.generator).to(images, non_blocking=True)
        with torch.autocast(
            images.device.type, enabled=False
        ):  # for the difference of two almost equal answers
            logits = apart(nets.student, images)
            target = torch.softmax(logits.detach(), dim=1)
            worst = self._worst_direction(nets.student, images, target, direction)
        adversarial = images + self.radius * worst
        unsupervised = divergence(target, apart(nets.student, adversarial))
        entropy = F.cross_entropy(logits, torch.softmax(logits, dim=1))

        adjusted = self.adjust(target, nets, (x, labels), images, step)
        pseudo, news = self.adjust.select(hard_pseudo_labels(adjusted.probabilities, u.indices), adjusted)
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, supervised),
            "unlabeled": (self.unlabeled_weight * ramp_up(step, self.ramp), unsupervised),
            "entropy": (self.entropy_weight, entropy),
        }
        return step_output(terms, mixed, pseudo, news)

    def _worst_direction(self, net: nn.Module, images: Tensor, target: Tensor, direction: Tensor) -> Tensor:
        """Unit vectors like ``images`` along which the divergence grows fastest; leaves no gradient in the
        network."""
        for _ in range(self.power_iterations):
            moved = (images + self.probe * unit(direction)).requires_grad_()
            (direction,) = torch.autograd.grad(divergence(target, apart(net, moved)), moved)
        return unit(direction)


def divergence(target: Tensor, logits: Tensor) -> Tensor:
    """``KL(target || softmax(logits))``, summed over classes, mean over images."""
    return F.kl_div(F.log_softmax(logits, dim=1), target, reduction="batchmean")


def unit(vectors: Tensor) -> Tensor:
    """Each image divided by its length."""
    return F.normalize(vectors.flatten(1), eps=torch.finfo(vectors.dtype).tiny).view_as(vectors)
