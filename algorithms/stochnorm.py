"""StochNorm: fine-tune with batch norm that takes moving or batch statistics at random, channel by channel.

Source: Kou et al., "Stochastic Normalization" (NeurIPS 2020), equations 4 and 5.

Published accuracy of CUB-200 with 15 / 30 / 50 / 100 % of the labels (ResNet-50, ten-crop): 50.41, 62.09,
72.05, 79.65 (the authors' own repetition, README of their code).
"""

from torch import nn

from ssl_mix.algorithms.fine_tuning import FineTuning, View
from ssl_mix.errors import check_share
from ssl_mix.models.stoch_norm import use_stoch_norm
from ssl_mix.types import Task


class StochNorm(FineTuning):
    """Fine-tune with batch norm by moving or batch statistics at random.

    Cross-entropy, with all batch-norm layers of the network replaced by
    :class:`ssl_mix.models.stoch_norm.StochNorm2d`.

    Args:
        probability: of a channel to be normalized by the batch, not by the moving statistics, in [0, 1]. 1 is
            plain batch norm.
        view: of the labeled images, see :class:`FineTuning`.

    Raises:
        ValueError: the probability is out of range; in ``extend``: the network has no batch norm.
    """

    needs_body = "changes batch norm"

    def __init__(self, *, probability: float = 0.5, view: View = "strong") -> None:
        super().__init__(view=view)
        check_share("probability", probability)
        self.probability = probability

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Replace the layers, which keep their weights and statistics."""
        use_stoch_norm(net, self.probability)
        return super().extend(net, task)
