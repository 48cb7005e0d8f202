"""ABC: a second classifier that learns each class equally often.

Source: Lee, Shin and Kim, "ABC: Auxiliary Balanced Classifier for Class-imbalanced Semi-supervised Learning"
(NeurIPS 2021), equations 2 to 5, and LeeHyuck/ABC. Differs: the strong view that the algorithm has, where the
authors have two; the masks are for how often a class is drawn. USB's peer takes hard pseudo-labels in the
unlabeled term, where paper and authors keep the whole distribution.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.rebalance.addon import Addon, News, head_logits

THRESHOLD = 0.95


class ABC(Addon):
    """A second classifier, on masks that leave as much of each class.

    ``mean[M(r_y) CE(a(x), y)] + mean[1[max q >= 0.95] M(1 - t (1 - r_c)) CE(a(strong u), q)]`` with ``q =
    softmax(a(weak u))`` detached, c its class, ``r_k = min_j N_j / N_k``, N_k how often class k is drawn, t
    the share of the run that is done, and M(r) 1 with probability r, else 0. Both terms reach the features.
    """

    own_head = True
    reads_features = True

    def terms(self) -> tuple[dict[str, Tensor], News]:
        """The loss of the second classifier."""
        sight = self.sight
        logits_x, logits_weak, logits_strong = head_logits(sight.nets.student, *sight.features)
        q = torch.softmax(logits_weak.detach(), dim=1)
        confidence, classes = q.max(dim=1)
        ratio = self.rarity().to(q)
        kept = self._drawn(ratio[sight.labels])
        gradual = 1 - sight.step.progress * (1 - ratio)
        mask = self._drawn(gradual[classes]) * (confidence >= THRESHOLD)
        labeled = (kept * F.cross_entropy(logits_x, sight.labels, reduction="none")).mean()
        unlabeled = (mask * F.cross_entropy(logits_strong, q, reduction="none")).mean()
        return {"abc_labeled": labeled, "abc_unlabeled": unlabeled}, {}

    def rarity(self) -> Tensor:
        """r_k, (C,): 1 for the rarest class that is drawn at all, and for those that never are."""
        shares = self.positive_shares
        return shares.amin() / shares

    def _drawn(self, chances: Tensor) -> Tensor:
        """1 with the chances (N,), else 0, from the generator of the step."""
        draws = torch.rand(len(chances), generator=self.sight.step.generator)
        return (draws.to(chances.device, non_blocking=True) < chances).to(chances.dtype)
