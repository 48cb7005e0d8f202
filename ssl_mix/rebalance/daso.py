"""DASO: pseudo-labels of frequent classes lean on what the features are near to.

Source: Oh et al., "DASO: Distribution-Aware Semantics-Oriented Pseudo-label for Imbalanced Semi-Supervised
Learning" (CVPR 2022), equations 1 to 5, and ytaek-oh/daso. Differs: moving averages for the queue of the
teacher's last 256 features of each class, and for the pseudo-labels of the last 100 steps. ``smooth_targets``
of :class:`ssl_mix.targets.Targets` has the same share for all classes, and no loss.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.rebalance.addon import Addon, News, features_of
from ssl_mix.rebalance.prototypes import likeness, moved
from ssl_mix.transfer.heads import feature_width
from ssl_mix.types import Task

WARMUP = 0.02  # share of the run in which prototypes and class shares are learned alone
TEMPERATURE = 1.5  # T of the class shares
DECAY = 0.99  # of the class shares
TINY = 1e-30  # under which a share has no logarithm


class DASO(Addon):
    """Pseudo-labels blended with classes by features, and a loss that keeps these alike in both views.

    ``p' = (1 - v_k) p + v_k s(weak u)``, ``s(u) = softmax(20 cos(f, w_c))``: k is the class of p, ``v_c =
    m_c^(1/T) / max_j m_j^(1/T)``, T = 1.5, m the moving average of the classes of p'; f are the
    student's features, w_c the moving mean of the teacher's of labeled images of class c. Adds ``CE(s(strong
    u), s(weak u))``. Both from 2 % of the run on.

    Attributes:
        prototypes: w_c, (C, D).
        known: classes that have one, (C,) bool.
        pseudo_share: m, (C,); 1 / C at first.
    """

    reads_features = True
    prototypes: Tensor
    known: Tensor
    pseudo_share: Tensor

    def extend(self, net: nn.Module, task: Task) -> None:
        """The prototypes and the shares of the classes."""
        super().extend(net, task)
        classes = task.num_classes
        self.register_buffer("prototypes", torch.zeros(classes, feature_width(net)))
        self.register_buffer("known", torch.zeros(classes, dtype=torch.bool))
        self.register_buffer("pseudo_share", torch.full((classes,), 1 / classes))

    def correct(self, probabilities: Tensor) -> tuple[Tensor, News]:
        """The blended distributions, where the step is not too early."""
        sight, blended = self.sight, probabilities
        (near,) = features_of(sight.nets.teacher, sight.images[0])
        prototypes, known = moved(near, sight.labels, self.prototypes, self.known)
        sight.notes.update(prototypes=prototypes, known=known)
        if sight.step.progress >= WARMUP:
            v = self.pseudo_share.to(probabilities) ** (1 / TEMPERATURE)
            share = (v / v.max())[probabilities.argmax(dim=1)][:, None]
            blended = torch.lerp(probabilities, self._semantic(sight.features[1]).to(probabilities), share)
        now = F.one_hot(blended.argmax(dim=1), blended.shape[1]).to(blended).mean(dim=0)
        return blended, {**sight.notes, "pseudo_share": torch.lerp(now, self.pseudo_share.to(now), DECAY)}

    def terms(self) -> tuple[dict[str, Tensor], News]:
        """The classes by features that both views have alike."""
        sight = self.sight
        if sight.step.progress < WARMUP:
            return {}, {}
        _, weak, strong = sight.features
        wanted, known = self._semantic(weak.detach()), sight.notes["known"]
        logs = torch.where(known, self._semantic(strong).clamp(min=TINY).log(), 0)
        return {"daso_alignment": -(wanted * logs).sum(dim=1).mean()}, {}

    def _semantic(self, features: Tensor) -> Tensor:
        """s, (N, C), by the prototypes with this step taken in."""
        notes = self.sight.notes
        with torch.autocast(features.device.type, enabled=False):
            return torch.softmax(likeness(features, notes["prototypes"].to(features), notes["known"]), dim=1)
