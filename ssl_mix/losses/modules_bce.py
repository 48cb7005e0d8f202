"""Decoupled binary cross-entropy as a module that takes ``(logits, target)``."""

from torch import Tensor, nn

from ssl_mix.errors import check_not_negative
from ssl_mix.losses._common import Reduction, check_options, full_precision
from ssl_mix.losses.bce import decoupled_mixup_bce
from ssl_mix.losses.dense import PlainTarget, mixed_target
from ssl_mix.types import MixedTarget


class DecoupledMixupBCELoss(nn.Module):
    """DM(BCE) as a criterion, see :func:`ssl_mix.losses.decoupled_mixup_bce`.

    A dense target (N, C) is decoded: its two largest entries are the classes, and what label smoothing gave to every class is
    dropped, because a target of BCE that is rescaled per class is no distribution;
    with C = 2 smoothing cannot be told from mixing, and stays. Labels (N,) int64 have target 1.

    Args:
        t: exponent of the rescaling; 1 for mixers that cut, 0.5 for those that interpolate.
        xi: weight from which a class is wanted wholly; 0.8 for mixers that cut, 1 for those that interpolate.
        sum_classes: sum over the classes instead of their mean.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ValueError: the target's shape or type does not fit the logits, or an option is wrong.
    """

    def __init__(
        self,
        t: float = 1.0,
        xi: float = 0.8,
        *,
        sum_classes: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_not_negative("t", t)
        check_not_negative("xi", xi)
        check_options(reduction=reduction)
        self.t, self.xi, self.sum_classes, self.reduction = t, xi, sum_classes, reduction

    def forward(self, logits: Tensor, target: MixedTarget | PlainTarget | Tensor) -> Tensor:
        """The loss for logits (N, C) and a :class:`MixedTarget`, dense targets (N, C) or labels (N,)."""
        logits = full_precision(logits)
        return decoupled_mixup_bce(
            logits,
            *mixed_target(logits, target),
            t=self.t,
            xi=self.xi,
            sum_classes=self.sum_classes,
            reduction=self.reduction,
        )

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return f"t={self.t}, xi={self.xi}, sum_classes={self.sum_classes}, reduction={self.reduction!r}"
