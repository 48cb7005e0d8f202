"""OpenMatch: FixMatch where unlabeled images may be of no class, which one classifier per class finds out.

Source: Saito et al., "OpenMatch: Open-set Consistency Regularization for Semi-supervised Learning with
Outliers" (NeurIPS 2021), section 3, Algorithm 1, and its code. Differs: inliers are chosen anew in every
step, from the student's answer to the weak view, where paper and code go through all unlabeled images once an
epoch; FixMatch's mean is over all images of the batch, where theirs is over another batch, of inliers. As in
the code, the entropy is a mean over the classes, where the paper has a sum, and every inlier counts, where
the paper refers to FixMatch: ``threshold=0.95`` is its own.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_share
from ssl_mix.losses.one_vs_all import binary_entropy, inlier_log_odds, one_vs_all_loss
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import backbone, full_precision
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.transfer.heads import added_layer, beside_head, feature_width, new_head
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class OpenMatch(Algorithm):
    """FixMatch on the unlabeled images that are taken for inliers.

    Beside the classifier there is one for each class, whether an image is of it: ``r_c = sigmoid(s_c)``.

    ``loss = CE(p(weak x), y) + ova_weight * OVA(weak x, y) + entropy_weight * mean_c H(r_c(weak u)) +
    consistency_weight * sum_c 2 (r_c(weak u) - r_c(weak' u))^2 + unlabeled_weight * mean(1[inlier] 1[max q
    >= threshold] CE(p(strong u), argmax q))``, plus the terms of ``mixing``. The entropy is of both weak
    views. An image is an inlier where ``r_c > 1 / 2`` for its pseudo-label c; FixMatch's term begins at
    ``warmup``. OVA is :func:`ssl_mix.losses.one_vs_all.one_vs_all_loss`.

    Args:
        threshold: confidence that a pseudo-label must reach, in [0, 1].
        ova_weight: of the one-vs-all classifiers' loss on labeled images.
        entropy_weight: lambda_em, weight of the one-vs-all entropy of unlabeled images.
        consistency_weight: lambda_oc, weight of their agreement on two weak views; the published
            code takes 1 for CIFAR-100.
        unlabeled_weight: lambda_fm, weight of FixMatch's term.
        warmup: share of the run before FixMatch's term begins: 10 of 512 epochs in the paper.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before they are held against the threshold.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network has no linear head.
    """

    unlabeled_views = ("weak", "weak2", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.0,
        ova_weight: float = 1.0,
        entropy_weight: float = 0.1,
        consistency_weight: float = 0.5,
        unlabeled_weight: float = 1.0,
        warmup: float = 0.02,
        unlabeled_ratio: int = 2,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_share("warmup", warmup)
        weights = {"ova_weight": ova_weight, "entropy_weight": entropy_weight}
        weights |= {"consistency_weight": consistency_weight, "unlabeled_weight": unlabeled_weight}
        for name, weight in weights.items():
            check_not_negative(name, weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.warmup, self.unlabeled_ratio = threshold, warmup, unlabeled_ratio
        self.ova_weight, self.entropy_weight = ova_weight, entropy_weight
        self.consistency_weight, self.unlabeled_weight = consistency_weight, unlabeled_weight
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("OpenMatch")
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Two logits for each class, whether an image is of another and whether it is of this one."""
        net.ova_head = beside_head(net, new_head(feature_width(net), 2 * task.num_classes))
        return super().extend(net, task)

    def open_set(self, net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the log-odds of the likeliest class's own classifier."""
        features = backbone(net).features(images)
        logits = full_precision(backbone(net).head(features))
        odds = inlier_log_odds(full_precision(added_layer(net, "ova_head")(features)))
        return logits, odds.gather(1, logits.argmax(dim=1, keepdim=True))[:, 0]

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the mixing terms."""
        x, labels, u = parts(self, batch)
        views = (x, *(u.views[name] for name in self.unlabeled_views))
        features, sizes = backbone(nets.student).features(torch.cat(views)), [len(view) for view in views]
        logits = full_precision(backbone(nets.student).head(features))
        logits_x, logits_weak, _, logits_strong = torch.split(logits, sizes)
        odds = inlier_log_odds(full_precision(added_layer(nets.student, "ova_head")(features)))
        odds_x, odds_weak, odds_weak2, _ = torch.split(odds, sizes)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        inlier = odds_weak.detach().gather(1, confident.labels[:, None])[:, 0] > 0
        chosen = confident._replace(mask=confident.mask * inlier)
        pseudo, news = self.adjust.select(chosen, adjusted)
        unsupervised = (pseudo.mask * F.cross_entropy(logits_strong, pseudo.labels, reduction="none")).mean()
        change = 2 * (odds_weak.sigmoid() - odds_weak2.sigmoid()).square().sum(dim=1).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "one_vs_all": (self.ova_weight, one_vs_all_loss(odds_x, labels)),
            "entropy": (self.entropy_weight, binary_entropy(torch.cat((odds_weak, odds_weak2))).mean()),
            "consistency": (self.consistency_weight, change),
            "unlabeled": (self.unlabeled_weight * (step.progress >= self.warmup), unsupervised),
        }
        return step_output(terms, mixed, pseudo, news)
