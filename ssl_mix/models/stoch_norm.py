"""Stochastic normalization: batch norm whose channels take moving or batch statistics at random while
training."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssl_mix.errors import UserError, check_share
from ssl_mix.ranks import agreed


class StochNorm2d(nn.BatchNorm2d):
    """Batch norm of (N, C, H, W) with, in training, ``y_c = s_c z1_c + (1 - s_c) z0_c`` and ``s_c ~
    Bernoulli(probability)``.

    z1 is normalized by the batch, which updates the moving statistics; z0 by the moving statistics as they
    were before this batch. Both have the same scale and shift, and one s_c serves the whole batch. The draw
    comes from the default CPU generator, whatever the device. In evaluation, and in training without
    ``track_running_stats`` (so within ``frozen_running_statistics`` and ``batch_statistics``, which ask for
    batch statistics), it is plain batch norm and draws nothing.

    Args:
        num_features: C.
        probability: of a channel to be normalized by the batch, in [0, 1]; 1 is plain batch norm, 0
            normalizes by the moving statistics.
        eps: added to variances.
        momentum: share of the new batch in the moving statistics, None for their plain average.
        affine: have scale and shift.

    Raises:
        ValueError: the probability is out of range.

    Source: Kou et al., "Stochastic Normalization" (NeurIPS 2020), equations 4 and 5, whose code draws from
    NumPy's global generator.
    """

    def __init__(
        self,
        num_features: int,
        probability: float = 0.5,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
    ) -> None:
        super().__init__(num_features, eps=eps, momentum=momentum, affine=affine)
        check_share("probability", probability)
        self.probability = probability

    def forward(self, input: Tensor) -> Tensor:
        """The normalized batch, shaped like the (N, C, H, W) ``input``."""
        mean, variance = self.running_mean, self.running_var
        if not (self.training and self.track_running_stats) or mean is None or variance is None:
            return super().forward(input)
        # Copies: the layer's own are changed by the next line, and the backward pass needs those of before.
        mean, variance = mean.clone(), variance.clone()
        by_batch = super().forward(input)
        by_moving = F.batch_norm(input, mean, variance, self.weight, self.bias, eps=self.eps)
        drawn = agreed(torch.rand(self.num_features).to(input.device, non_blocking=True))
        return torch.where((drawn < self.probability)[:, None, None], by_batch, by_moving)


def use_stoch_norm(net: nn.Module, probability: float) -> int:
    """Make a :class:`StochNorm2d` of every ``nn.BatchNorm2d`` of a network, in place, and return how many
    there are.

    The layers remain the same objects with the same parameters, statistics, hooks and names. Left as they
    are: layers that keep their running statistics (frozen ones), layers without any, and other kinds of batch
    norm, whose forward pass does more.

    Args:
        net: changed in place; may hold :class:`StochNorm2d` already, which get the new probability.
        probability: see :class:`StochNorm2d`.

    Raises:
        ValueError: the probability is out of range, or the network has no layer to change.
    """
    check_share("probability", probability)
    norms = [layer for layer in net.modules() if isinstance(layer, _BatchNorm)]
    chosen = [layer for layer in norms if _follows_the_batch(layer)]
    if not chosen:
        others = ", ".join(sorted({type(layer).__name__ for layer in norms})) or "no batch norm"
        raise UserError(
            "stochastic normalization needs a network with nn.BatchNorm2d layers whose running statistics "
            "are not frozen, and "
            f"{type(net).__name__} has {others}: freeze less or choose another network, "
            "torchvision:resnet50 for instance"
        )
    for layer in chosen:
        layer.__class__ = StochNorm2d
        vars(layer)["probability"] = probability
    return len(chosen)


def _follows_the_batch(layer: _BatchNorm) -> bool:
    """Whether it is plain batch norm that updates running statistics in training."""
    plain = type(layer) in (nn.BatchNorm2d, StochNorm2d)
    return plain and layer.track_running_stats and "train" not in vars(layer)
