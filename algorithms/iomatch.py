"""IOMatch: inliers and outliers among the unlabeled images learn together, the outliers as one class more.

Source: Li et al., "IOMatch: Simplifying Open-Set Semi-Supervised Learning with Joint Inliers and Outliers
Utilization" (ICCV 2023), section 3, and its code. Follows both but for these: the uniform alignment takes a
moving average of the predictions, where the code takes the mean of the last 128 batches; added layers start
as all new layers do here, not by Glorot's rule; rotations, which the code has switched off, are left out.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_share
from ssl_mix.losses.one_vs_all import inlier_log_odds, one_vs_all_loss
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import backbone, full_precision
from ssl_mix.targets import UNIFORM, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.transfer.heads import added_layer, beside_head, feature_width, new_head
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class IOMatch(Algorithm):
    """FixMatch on inliers, and on all images with outliers as class C + 1.

    Of an image there are p (C classes), ``r_c``, whether it is of class c, and ``o`` (C + 1 classes); the
    latter two read a projection of the features. With the aligned p of the weak view, ``q_c = p_c r_c`` and
    ``q_{C+1} = sum_c p_c (1 - r_c)``:

    ``loss = CE(p(weak x), y) + ova_weight * OVA(weak x, y) + unlabeled_weight * mean(1[q_{C+1} < 1/2]
    1[max p >= threshold] CE(p(strong u), p)) + open_weight * mean(1[max q >= open_threshold] CE(o(strong u),
    q))``, plus the terms of ``mixing``. p and q are soft targets. OVA is
    :func:`ssl_mix.losses.one_vs_all.one_vs_all_loss`.

    Args:
        threshold: tau_p, confidence that a pseudo-label must reach, in [0, 1].
        open_threshold: tau_q, that the target of C + 1 classes must reach, in [0, 1].
        ova_weight: lambda_mb, of the one-vs-all classifiers' loss on labeled images.
        unlabeled_weight: lambda_ui, of the term of the inliers.
        open_weight: lambda_op, of the term of all C + 1 classes.
        warmup: share of the run before that term begins: 1 of 256 epochs in the code.
        width: of the projection.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes p less biased; the paper aligns towards a uniform distribution.

    Raises:
        ValueError: an argument is out of range; in ``extend``: the network has no linear head.
    """

    unlabeled_views = ("weak", "strong")

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        open_threshold: float = 0.5,
        ova_weight: float = 1.0,
        unlabeled_weight: float = 1.0,
        open_weight: float = 1.0,
        warmup: float = 0.004,
        width: int = 128,
        unlabeled_ratio: int = 7,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = UNIFORM,
    ) -> None:
        super().__init__()
        shares = {"threshold": threshold, "open_threshold": open_threshold, "warmup": warmup}
        weights = {"ova_weight": ova_weight, "unlabeled_weight": unlabeled_weight, "open_weight": open_weight}
        for name, share in shares.items():
            check_share(name, share)
        for name, weight in weights.items():
            check_not_negative(name, weight)
        check_count("width", width)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.open_threshold, self.warmup = threshold, open_threshold, warmup
        self.ova_weight, self.unlabeled_weight, self.open_weight = ova_weight, unlabeled_weight, open_weight
        self.width, self.unlabeled_ratio = width, unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("IOMatch")
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """The projection, and what reads it."""
        net.open_heads = beside_head(net, OpenHeads(feature_width(net), self.width, task.num_classes))
        return super().extend(net, task)

    def open_set(self, net: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and the log-odds of all C classes against class C + 1."""
        features = backbone(net).features(images)
        of_all = full_precision(added_layer(net, "open_heads")(features)[1])
        logits = full_precision(backbone(net).head(features))
        return logits, of_all[:, :-1].logsumexp(dim=1) - of_all[:, -1]

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the paper's Algorithm 1, with the mixing terms."""
        x, labels, u = parts(self, batch)
        views = x, u.views["weak"], u.views["strong"]
        features, sizes = backbone(nets.student).features(torch.cat(views)), [len(view) for view in views]
        logits = full_precision(backbone(nets.student).head(features))
        logits_x, logits_weak, logits_strong = torch.split(logits, sizes)
        own, of_all = added_layer(nets.student, "open_heads")(features)
        odds_x, odds_weak, _ = torch.split(inlier_log_odds(full_precision(own)), sizes)
        _, _, open_strong = torch.split(full_precision(of_all), sizes)

        adjusted = self.adjust(predicted(logits_weak), nets, (x, labels), u.views["weak"], step)
        p = adjusted.probabilities
        q = open_targets(p, odds_weak.detach())
        confident = hard_pseudo_labels(p, u.indices, self.threshold)
        inliers = confident._replace(mask=confident.mask * (q[:, -1] < 0.5))
        pseudo, news = self.adjust.select(inliers, adjusted)
        sure = (q.amax(dim=1) >= self.open_threshold).float()
        of_inliers = (pseudo.mask * F.cross_entropy(logits_strong, p, reduction="none")).mean()
        of_classes = (sure * F.cross_entropy(open_strong, q, reduction="none")).mean()

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "one_vs_all": (self.ova_weight, one_vs_all_loss(odds_x, labels)),
            "unlabeled": (self.unlabeled_weight, of_inliers),
            "open": (self.open_weight * (step.progress >= self.warmup), of_classes),
        }
        return step_output(terms, mixed, pseudo, news)


def open_targets(p: Tensor, odds: Tensor) -> Tensor:
    """``q_c = p_c r_c``, ``q_{C+1} = sum_c p_c (1 - r_c)``, (N, C + 1); ``r = sigmoid(odds)``, (N, C)."""
    inside = p * odds.sigmoid()
    outside = (p * (-odds).sigmoid()).sum(dim=1, keepdim=True)
    return torch.cat((inside, outside), dim=1)


class OpenHeads(nn.Module):
    """Two logits for each of C classes, and one for each of C + 1, of projected features (N, width)."""

    def __init__(self, width: int, projected: int, num_classes: int) -> None:
        super().__init__()
        self.projector = nn.Sequential(new_head(width, width), nn.ReLU(), new_head(width, projected))
        self.one_vs_all = new_head(projected, 2 * num_classes, bias=False)
        self.classifier = new_head(projected, num_classes + 1)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 2 C) and (N, C + 1)."""
        found = self.projector(features)
        return self.one_vs_all(found), self.classifier(found)
