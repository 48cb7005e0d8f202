"""TRAS: a second classifier learns from the first one's answers, turned towards rare classes.

Source: Wei et al., "Transfer and Share: Semi-Supervised Learning from Long-Tailed Data" (2022), and
Stomach-ache/TRAS. Differs: one strong view for two, and no warm-up (10 of 500 epochs there). USB's peer
differs from the authors in two points that are followed here: it lets the second classifier teach itself, by
its answers to weak views, and its logarithms are of 1 / N_c, so that all adjustments have the other sign.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.passes import full_precision
from ssl_mix.rebalance.addon import Addon, News, head_logits

THRESHOLD = 0.95
A, B = 2.0, 2.0


class TRAS(Addon):
    """A second classifier, taught by the first, whose pseudo-labels are adjusted too.

    Pseudo-labels: ``p_c / pi_c``, made to sum to 1, with pi how often classes are drawn, those that never are
    as often as the rarest. Adds ``CE(a(x) + log pi, y) + mean[1[max softmax(a(weak u)) >= 0.95] CE(a(strong
    u), softmax((z(strong u) - t_k log pi) / 2))]`` with a and z the second and the first classifier, z
    detached, k the class of a(weak u), and ``t = 2 softmax(-log pi) + 2``.
    """

    own_head = True
    reads_features = True

    def correct(self, probabilities: Tensor) -> tuple[Tensor, News]:
        """The distributions without the class shares."""
        adjusted = probabilities / self.positive_shares.to(probabilities)
        return adjusted / adjusted.sum(dim=1, keepdim=True), {}

    def terms(self) -> tuple[dict[str, Tensor], News]:
        """The loss of the second classifier."""
        sight = self.sight
        logits_x, logits_weak, logits_strong = head_logits(sight.nets.student, *sight.features)
        base = sight.nets.student.get_submodule("base_head")
        with torch.no_grad():
            first = full_precision(base(sight.features[2]))
            confidence, classes = torch.softmax(logits_weak, dim=1).max(dim=1)
            shift = self.positive_shares.log().to(first)
            strength = (A * torch.softmax(-shift, dim=0) + B)[classes][:, None]
            target = torch.softmax((first - strength * shift) / 2, dim=1)
            mask = (confidence >= THRESHOLD).to(target.dtype)
        labeled = F.cross_entropy(logits_x + shift, sight.labels)
        taught = (mask * F.cross_entropy(logits_strong, target, reduction="none")).mean()
        return {"tras_labeled": labeled, "tras_unlabeled": taught}, {}
