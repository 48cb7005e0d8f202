"""DebiasPL: pseudo-labels less the favor that the network shows to classes, and margins by it.

Source: Wang et al., "Debiased Learning from Naturally Imbalanced Pseudo-Labels" (CVPR 2022), equations 4 to
7; see :mod:`ssl_mix.algorithms.debiasmatch` for what differs, which is FixMatch with this, a strong view of
labeled images and options. USB's peer takes 0.4 of the favor; its average keeps ``ema_m`` of the last and
takes ``1 - ema_p`` of the new mean, two settings that need not sum to 1.
"""

import torch
from torch import Tensor, nn

from ssl_mix.rebalance.addon import Addon, News
from ssl_mix.types import Task

STRENGTH, DECAY = 1.0, 0.999  # as DebiasMatch has them


class DebiasPL(Addon):
    """Pseudo-labels less the favor that the network shows to classes, and margins by it.

    ``q = softmax(z(weak u) - log m)`` for pseudo-labels, and ``z(strong u) + log m`` in their loss.

    Attributes:
        class_mean: m, the moving average of the predictions, (C,); 1 / C at first.
    """

    has_margins = True
    class_mean: Tensor

    def extend(self, net: nn.Module, task: Task) -> None:
        """The moving average."""
        super().extend(net, task)
        self.register_buffer("class_mean", torch.full((task.num_classes,), 1 / task.num_classes))

    def correct(self, probabilities: Tensor) -> tuple[Tensor, News]:
        """The distributions less the favor."""
        mean, taken = favor(probabilities, self.class_mean, STRENGTH, DECAY)
        self.sight.notes["favor"] = taken
        return torch.softmax(probabilities.log() - taken, dim=1), {"class_mean": mean}

    def with_margins(self, logits: Tensor) -> Tensor:
        """Logits with the favor."""
        return logits + self.sight.notes["favor"]


def favor(weak: Tensor, average: Tensor, strength: float, decay: float) -> tuple[Tensor, Tensor]:
    """m with the mean of predictions (N, C) taken in, and ``strength log m``, (C,) each.

    Args:
        weak: predictions for gently altered images, (N, C) without gradient.
        average: m before, (C,).
        strength: lambda, the share of the favor that counts.
        decay: of the average.
    """
    mean = torch.lerp(weak.mean(dim=0), average.to(weak), decay)
    return mean, strength * mean.log()
