"""FineSSL: margins for classes that a pre-trained network finds hard, and a second head to say how sure.

Source: Gan and Wei, "Erasing the Bias: Fine-Tuning Foundation Models for Semi-Supervised Learning" (ICML
2024), and Gank0078/FineSSL, with its settings for CIFAR. Differs: any linear head for one of cosines times a
learned scale that starts at 14 (``tune`` "head" has features of length 16); what is counted of the classes
is kept for the whole run, where the code forgets it every 500 steps; the auxiliary term is a mean over all
images, not over the confident ones. As in the code, margins fall by ``(1 - beta) / (1 + beta)``, where the
paper is quoted with ``1 - beta``, and labels of the auxiliary head are not smoothed.
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.banks import LastClasses, known_indices
from ssl_mix.errors import check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import backbone, full_precision
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class FineSSL(Algorithm):
    """Every pseudo-label counts, weighed by an auxiliary head that smoothing keeps modest; hard classes have
    margins.

    ``loss = M(weak x, y) + auxiliary_weight * [CE(h(weak x), y) + mean(1[max q >= threshold] * CE(h(strong
    u), smoothed argmax q))] + unlabeled_weight * mean(max softmax(h(weak u)) * M(strong u, argmax q))``, ``q
    = p(weak u)`` detached; each mean is over two strong views. h is the auxiliary head, a copy of the
    classifier at first, on detached features; its weights are detached where it weighs.

    Balanced margin softmax: ``M(v, y) = CE(z(v) - d_y onehot(y), y)``, ``d_c = margin * (max beta - min
    beta) * (1 - beta_c) / (1 + beta_c)``, ``beta_c = sigma_c / max sigma``: sigma_c unlabeled images were
    last confidently taken for class c.

    Args:
        threshold: tau, the confidence from which a pseudo-label teaches the auxiliary head, and from which an
            image counts as learned, in [0, 1].
        margin: alpha, of the logits of a class that no image is taken for.
        smoothing: share of a smoothed label that goes to the other classes.
        auxiliary_weight: weight of the terms of the auxiliary head.
        unlabeled_weight: weight of the pseudo-labels.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the threshold.

    Attributes:
        learned: the class that each unlabeled image was last confidently taken for, and counts of those.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network has no linear head.
    """

    unlabeled_views = ("weak", "strong", "strong2")
    learned: LastClasses

    def __init__(
        self,
        *,
        threshold: float = 0.7,
        margin: float = 8.0,
        smoothing: float = 0.5,
        auxiliary_weight: float = 1.0,
        unlabeled_weight: float = 3.0,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_not_negative("margin", margin)
        check_share("smoothing", smoothing)
        check_not_negative("auxiliary_weight", auxiliary_weight)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.margin, self.smoothing = threshold, margin, smoothing
        self.auxiliary_weight, self.unlabeled_weight = auxiliary_weight, unlabeled_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("FineSSL", selected=False, fixed=True)
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """A slot for each unlabeled image, and the auxiliary head."""
        self.learned = LastClasses(task.num_unlabeled, task.num_classes)
        self.auxiliary = copy.deepcopy(backbone(net).head)
        return super().extend(net, task)

    def margins(self) -> Tensor:
        """d_c of every class, (C,)."""
        learned = self.learned.counts[1:].float()
        beta = learned / learned.max().clamp(min=1)
        return self.margin * (beta.max() - beta.min()) * (1 - beta) / (1 + beta)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the method, with the mixing terms."""
        x, labels, u = parts(self, batch)
        student, views = backbone(nets.student), [x, *(u.views[name] for name in self.unlabeled_views)]
        features = student.features(torch.cat(views))
        sizes = [len(x), len(views[1]), 2 * len(views[1])]
        logits_x, logits_weak, logits_strong = torch.split(full_precision(student.head(features)), sizes)
        asked = full_precision(self.auxiliary(features.detach()))
        asked_x, asked_weak, asked_strong = torch.split(asked, sizes)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), views[1], step)
        learned = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo = learned._replace(mask=predicted(asked_weak).amax(dim=1))
        twice, margins = learned.labels.repeat(2), self.margins()
        costs = margin_cross_entropy(logits_strong, twice, margins)
        smoothed = smoothed_labels(twice, logits_x.shape[1], self.smoothing).to(asked)
        taught = F.cross_entropy(asked_strong, smoothed, reduction="none")

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, margin_cross_entropy(logits_x, labels, margins).mean()),
            "labeled_auxiliary": (self.auxiliary_weight, F.cross_entropy(asked_x, labels)),
            "unlabeled": (self.unlabeled_weight, (pseudo.mask.repeat(2) * costs).mean()),
            "auxiliary": (self.auxiliary_weight, (learned.mask.repeat(2) * taught).mean()),
        }
        carry = {"indices": known_indices(u.indices), "labels": learned.labels, "learned": learned.mask}
        return step_output(terms, mixed, pseudo, carry | adjusted.news)

    def commit(self, carry: dict[str, Tensor]) -> None:
        """Enter the confident pseudo-labels of the step."""
        super().commit(self.learned.enter(carry))


def margin_cross_entropy(logits: Tensor, labels: Tensor, margins: Tensor) -> Tensor:
    """Cross-entropy (N,) of logits (N, C) whose true class (N,) is lowered by its margin (C,)."""
    lowered = margins[labels][:, None] * F.one_hot(labels, logits.shape[1])
    return F.cross_entropy(logits - lowered, labels, reduction="none")


def smoothed_labels(labels: Tensor, num_classes: int, smoothing: float) -> Tensor:
    """``1 - smoothing`` for the class, the rest evenly for the other ones, (N, C)."""
    hard = F.one_hot(labels, num_classes)
    return (1 - smoothing) * hard + smoothing * (1 - hard) / max(1, num_classes - 1)
