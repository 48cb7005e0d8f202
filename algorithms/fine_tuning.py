"""Fine-Tuning: go on training a network, with a new head, on the labeled images; with mixing, on the others
too.

The baseline that every transfer method is held against. Published ones differ in augmentation and schedule by
more than methods do; compare with the same of both (``scripts/fine_grained_transfer.py``).

Published accuracy with 15 % of the labels (ResNet-50, ten-crop): CUB-200 45.25, Stanford-Cars 36.77,
FGVC-Aircraft 39.57 (Wang et al., "Self-Tuning for Data-Efficient Deep Learning", ICML 2021, Table 1); CUB-200
51.2 (TLlib, center crop, best epoch on the test part).
"""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.algorithm import Algorithm, check_batch, step_output
from ssl_mix.errors import check_choice, check_count, check_share
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.mixing.words import Mix
from ssl_mix.passes import apart, logits_of
from ssl_mix.targets import PLAIN, Adjuster, Targets, hard_pseudo_labels, predicted
from ssl_mix.types import Batch, Nets, PseudoLabels, Samples, Step, StepOutput

View = Literal["weak", "strong"]
Terms = Mapping[str, tuple[float, Tensor]]


class FineTuning(Algorithm):
    """Go on training a network, with a new head, on the labeled images.

    ``loss = CE(p(x), y)``, plus the terms of ``mixing``. "as" and "dm-as" mix labeled images into unlabeled
    ones, whose labels the student predicts from the same view, without gradient. Fine-tuning is then
    semi-supervised: "mixup" and "dm" are the controls that use labeled images alone.

    Args:
        view: "weak": flip and crop; "strong": RandAugment and Cutout too. Of labeled and unlabeled images.
        threshold: confidence that a pseudo-label must reach to count in the asymmetric term, in [0, 1].
        unlabeled_ratio: unlabeled images per labeled one in a batch, where mixing wants them.
        mixing: mixing terms added to the loss: decoupled mixup (DM) and the asymmetric strategy (AS).
        targets: what makes pseudo-labels less biased before mixing reads them.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        *,
        view: View = "strong",
        threshold: float = 0.0,
        unlabeled_ratio: int = 1,
        mixing: MixingTerms | Mix = "none",
        targets: Targets = PLAIN,
    ) -> None:
        super().__init__()
        check_choice("view", view, ("weak", "strong"))
        check_share("threshold", threshold)
        check_count("unlabeled_ratio", unlabeled_ratio)
        self.view, self.threshold, self.selects = view, threshold, threshold > 0
        self.unlabeled_ratio = unlabeled_ratio
        self.labeled_views = (view,)
        self.mixing = MixingTerms.of(mixing).check_added()
        name, mixing = type(self).__name__, self.mixing
        self.targets = targets.check(
            name, used=mixing.asymmetric, selected=mixing.masked, threshold=threshold > 0, fixed=True
        )
        self.adjust = Adjuster(targets)
        self.unlabeled_views = (view,) if self.mixing.asymmetric else ()

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """The loss of one batch."""
        check_batch(self, batch)
        assert batch.labeled.target is not None
        x, labels = batch.labeled.views[self.view], batch.labeled.target
        terms = self.terms(nets.student, x, labels)
        if batch.unlabeled is None:
            return step_output(terms, self.mixing(nets.student, x, labels, step), None)
        u = batch.unlabeled
        pseudo, news = self._pseudo_labels(nets, (x, labels), u, step)
        mixed = self.mixing(nets.student, x, labels, step, unlabeled=u.views, pseudo=pseudo)
        return step_output(terms, mixed, pseudo, news)

    def terms(self, net: nn.Module, images: Tensor, labels: Tensor) -> Terms:
        """Weight and value of each term on the labeled images; regularizers add theirs."""
        return {"labeled": (1.0, F.cross_entropy(logits_of(net, images), labels))}

    @torch.no_grad()
    def _pseudo_labels(
        self, nets: Nets, labeled: tuple[Tensor, Tensor], unlabeled: Samples, step: Step
    ) -> tuple[PseudoLabels, dict[str, Tensor]]:
        images = unlabeled.views[self.view]
        adjusted = self.adjust(predicted(apart(nets.student, images)), nets, labeled, images, step)
        confident = hard_pseudo_labels(adjusted.probabilities, unlabeled.indices, self.threshold)
        return self.adjust.select(confident, adjusted)
