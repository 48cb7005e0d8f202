"""L2-SP: fine-tune, but stay near the starting point.

Source: Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional
Networks" (ICML 2018), equation 2, with the weights of TLlib. Take it with ``--weight-decay 0``, which it
replaces.

Published accuracy with 15 % of the labels (ResNet-50, ten-crop): CUB-200 45.08, Stanford-Cars 36.10,
FGVC-Aircraft 39.27 (Wang et al., ICML 2021).
"""

import torch
from torch import Tensor, nn

from ssl_mix.algorithms.fine_tuning import FineTuning, Terms, View
from ssl_mix.errors import check_not_negative
from ssl_mix.passes import backbone
from ssl_mix.types import Task


class L2SP(FineTuning):
    """Fine-tune, but stay near the starting point.

    ``loss = CE + body_weight / 2 * |w - w0|^2 + head_weight / 2 * |head|^2``, w0 the weights at the start.
    Every parameter that is not of the head counts in w, scale and shift of batch norm included.

    Args:
        body_weight: alpha, of the distance to the start.
        head_weight: beta, of the size of the head, which has no start to stay near.
        view: of the labeled images, see :class:`FineTuning`.

    Attributes:
        start: w0, (P,) float32.
    """

    needs_body = "keeps the body near its start"

    start: Tensor

    def __init__(
        self, *, body_weight: float = 0.01, head_weight: float = 0.01, view: View = "strong"
    ) -> None:
        super().__init__(view=view)
        check_not_negative("body_weight", body_weight)
        check_not_negative("head_weight", head_weight)
        self.body_weight, self.head_weight = body_weight, head_weight

    def extend(self, net: nn.Module, task: Task) -> nn.Module:
        """Remember the start."""
        self.register_buffer("start", _body(net).detach().clone())
        return super().extend(net, task)

    def terms(self, net: nn.Module, images: Tensor, labels: Tensor) -> Terms:
        """See ``FineTuning``."""
        return {
            **super().terms(net, images, labels),
            "distance": (self.body_weight, (_body(net) - self.start).square().sum() / 2),
            "head": (self.head_weight, head_size(net)),
        }


def head_size(net: nn.Module) -> Tensor:
    """Half the squared length of all weights of the head, 0-d."""
    return torch.stack([weight.square().sum() for weight in backbone(net).head.parameters()]).sum() / 2


def _body(net: nn.Module) -> Tensor:
    """All parameters but the head's, in a row."""
    head = {id(parameter) for parameter in backbone(net).head.parameters()}
    return torch.cat([p.reshape(-1) for p in net.parameters() if id(p) not in head])
