"""Debiased self-training (DST): a head of its own for what pseudo-labels teach, and features that leave the
worst head no freedom.

Source: Chen et al., "Debiased Self-Training for Semi-Supervised Learning" (NeurIPS 2022), sections 4.1 and
4.2, and TLlib's ``dst``. Differs: no dropout in the added heads, and no bottleneck before them; all views
share one forward pass; the reversal grows over a share of the run, not over 1000 steps.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_positive, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import backbone, full_precision
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.transfer.heads import beside_head, feature_width, new_head
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task

LEAST = 1e-6  # in the logarithm


class DST(Algorithm):
    """FixMatch whose pseudo-labels teach a head of their own, on features that leave no freedom to the
    worst.

    ``loss = CE(h(weak x), y) + strong_weight * CE(h(strong x), y) + unlabeled_weight * mean(1[max q >=
    threshold] * CE(g(strong u), argmax q)) + worst_weight * [labeled_share * CE(v(weak x), argmax h(weak x))
    + mean(-log(1 - softmax(v(weak u))_argmax q))]``, ``q = softmax(h(weak u))`` detached. h is the
    classifier, which learns from labeled images alone; g and v are heads with a hidden layer of ``width``,
    which no prediction uses. v learns to agree with h on labeled images and to contradict it on unlabeled
    ones; to the features the gradient of its term goes back times ``-reversal * (2 / (1 + exp(-t / (ramp
    T))) - 1)``.

    Args:
        threshold: tau, the confidence a pseudo-label must reach, in [0, 1].
        strong_weight: weight of the strong view of labeled images.
        unlabeled_weight: weight of the pseudo-labels.
        worst_weight: eta, weight of the worst head.
        labeled_share: eta', how much it minds labeled images.
        reversal: how strongly the features work against it in the end.
        ramp: share of the run in which that grows to 46 %.
        width: of the hidden layers.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the threshold.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network has no linear head.
    """

    labeled_views = ("weak", "strong")
    unlabeled_views = ("weak", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.7,
        strong_weight: float = 0.1,
        unlabeled_weight: float = 1.0,
        worst_weight: float = 1.0,
        labeled_share: float = 2.0,
        reversal: float = 0.1,
        ramp: float = 0.02,
        width: int = 2048,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        for name, value in (("strong_weight", strong_weight), ("unlabeled_weight", unlabeled_weight)):
            check_not_negative(name, value)
        for name, value in (("worst_weight", worst_weight), ("labeled_share", labeled_share)):
            check_not_negative(name, value)
        check_not_negative("reversal", reversal)
        check_positive("ramp", ramp)
        check_count("width", width)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.strong_weight = threshold, strong_weight
        self.unlabeled_weight, self.worst_weight = unlabeled_weight, worst_weight
        self.labeled_share, self.reversal, self.ramp = labeled_share, reversal, ramp
        self.width, self.unlabeled_ratio = width, unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("DST")
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """The two heads."""
        width, sizes = feature_width(net), (self.width, task.num_classes)
        self.pseudo_head, self.worst_head = (
            beside_head(net, nn.Sequential(new_head(width, self.width), nn.ReLU(), new_head(*sizes)))
            for _ in range(2)
        )
        return super().extend(net, task)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the method, with the mixing terms."""
        x, labels, u = parts(self, batch)
        views = (x, batch.labeled.views["strong"], u.views["weak"], u.views["strong"])
        sizes, student = [len(view) for view in views], backbone(nets.student)
        features = student.features(torch.cat(views))
        logits = torch.split(full_precision(student.head(features)), sizes)
        logits_x, logits_x_strong, logits_weak, _ = logits
        of_x, _, of_weak, of_strong = torch.split(features, sizes)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        taught = F.cross_entropy(full_precision(self.pseudo_head(of_strong)), pseudo.labels, reduction="none")
        reverse = self.reversal * math.tanh(step.progress / (2 * self.ramp))
        worst = full_precision(self.worst_head(reversed_gradient(torch.cat((of_x, of_weak)), reverse)))

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "labeled_strong": (self.strong_weight, F.cross_entropy(logits_x_strong, labels)),
            "unlabeled": (self.unlabeled_weight, (pseudo.mask * taught).mean()),
            "worst": (self.worst_weight, self._worst(worst, logits_x.argmax(dim=1), pseudo.labels)),
        }
        return step_output(terms, mixed, pseudo, news)

    def _worst(self, logits: Tensor, labeled: Tensor, unlabeled: Tensor) -> Tensor:
        """What the worst head is trained by, of its logits (B + N, C) and the classes predicted, (B,) and
        (N,)."""
        agrees = F.cross_entropy(logits[: len(labeled)], labeled)
        shares = torch.softmax(logits[len(labeled) :], dim=1).gather(1, unlabeled[:, None])
        return self.labeled_share * agrees - (1 - shares + LEAST).clamp(max=1).log().mean()


def reversed_gradient(features: Tensor, strength: float) -> Tensor:
    """The features as they are, with a gradient that goes back to them times ``-strength``."""
    return (1 + strength) * features.detach() - strength * features
