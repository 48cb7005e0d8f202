"""DebiasMatch (DebiasPL): pseudo-labels less the favor that the network shows to classes, and margins by it.

Source: Wang et al., "Debiased Learning from Naturally Imbalanced Pseudo-Labels" (CVPR 2022), equations 4 to
7, and frank-xwang/debiased-pseudo-labeling. The strong view of labeled images is TLlib's; 0 for
``strong_weight`` leaves it out, as the paper does. Left out: several views of an image, the clustering loss
and CLIP.

Differs: the average takes the step in before the pseudo-labels are made, as TLlib's does; in the authors'
code they are made before. TLlib's example never keeps its average: each epoch begins anew from the uniform
one. Settings: 0.4 and a threshold of 0.8 (authors, ImageNet); 1.0 and 0.95 (TLlib). USB has 0.4.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, parts, step_output
from ssl_mix.errors import check_count, check_not_negative, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import together
from ssl_mix.rebalance.debiaspl import favor
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.types import Batch, Nets, Step, StepOutput, Task


class DebiasMatch(Algorithm):
    """FixMatch on pseudo-labels less the favor that the network shows to classes, with margins by it.

    ``loss = CE(p(weak x), y) + strong_weight * CE(p(strong x), y) + unlabeled_weight * mean(1[max q >=
    threshold] * CE(z(strong u) + debias log m, argmax q))`` with ``q = softmax(z(weak u) - debias log m)``
    detached and m the moving average of ``p(weak u)``.

    Args:
        threshold: tau, the confidence a debiased pseudo-label must reach, in [0, 1].
        debias: lambda, the share of the favor that is taken from pseudo-labels and asked for as margin.
        average_decay: decay of the moving average m.
        strong_weight: weight of the strong view of labeled images.
        unlabeled_weight: weight of the unlabeled term.
        unlabeled_ratio: mu, unlabeled images per labeled one in a batch.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes debiased pseudo-labels less biased still before they are held against the
            threshold.

    Attributes:
        class_mean: m, (C,); 1 / C at first.

    Raises:
        ValueError: an argument is out of range.
    """

    labeled_views = ("weak", "strong")
    unlabeled_views = ("weak", "strong")
    class_mean: Tensor

    def __init__(
        self,
        *,
        threshold: float = 0.95,
        debias: float = 1.0,
        average_decay: float = 0.999,
        strong_weight: float = 0.1,
        unlabeled_weight: float = 1.0,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_share("threshold", threshold)
        check_not_negative("debias", debias)
        check_share("average_decay", average_decay)
        check_not_negative("strong_weight", strong_weight)
        check_not_negative("unlabeled_weight", unlabeled_weight)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.threshold, self.debias, self.average_decay = threshold, debias, average_decay
        self.strong_weight, self.unlabeled_weight = strong_weight, unlabeled_weight
        self.unlabeled_ratio = unlabeled_ratio
        self.mixing = MixingTerms.of(mixing).check_added()
        self.targets = targets.check("DebiasMatch")
        self.adjust = Adjuster(targets)

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """The moving average."""
        self.register_buffer("class_mean", torch.full((task.num_classes,), 1 / task.num_classes))
        return super().extend(net, task)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """One step of the method, with the mixing terms."""
        x, labels, u = parts(self, batch)
        x_strong = batch.labeled.views["strong"]
        logits_x, logits_x_strong, logits_weak, logits_strong = together(
            nets.student, x, x_strong, u.views["weak"], u.views["strong"]
        )

        mean, taken = favor(predicted(logits_weak), self.class_mean, self.debias, self.average_decay)
        adjusted = self.adjust(predicted(logits_weak - taken), nets, (x, labels), u.views["weak"], step)
        confident = hard_pseudo_labels(adjusted.probabilities, u.indices, self.threshold)
        pseudo, news = self.adjust.select(confident, adjusted)
        costs = F.cross_entropy(logits_strong + taken, pseudo.labels, reduction="none")

        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        terms = {
            "labeled": (1.0, F.cross_entropy(logits_x, labels)),
            "labeled_strong": (self.strong_weight, F.cross_entropy(logits_x_strong, labels)),
            "unlabeled": (self.unlabeled_weight, (pseudo.mask * costs).mean()),
        }
        return step_output(terms, mixed, pseudo, news | {"class_mean": mean})
