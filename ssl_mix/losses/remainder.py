"""The log-sum-exp over the classes that are not in a mixed picture: the one pass over the logits that decoupling needs."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def _without(logits: Tensor, classes: Tensor) -> Tensor:
    # A finite stand-in for -inf: where nothing is left, the gradient must stay finite too.
    return logits.scatter(1, classes, torch.finfo(logits.dtype).min / 4)


class _Remainder(torch.autograd.Function):
    """The function below with a closed form as gradient: one pass backward, where plain autograd makes ten over (N, C)."""

    @staticmethod
    def forward(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rest = _without(logits, classes)
        shares = F.softmax(rest, dim=1)
        own = logits.gather(1, classes)
        # The largest share is at least 1 / C, so that its logarithm is as exact as that of the sum would be.
        return own, (rest.amax(1, True) - own) - shares.amax(1, True).log(), shares

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[2])
        ctx.save_for_backward(*inputs, output[2])

    @staticmethod
    def backward(ctx: Any, own: Tensor, gap: Tensor, _: Tensor) -> tuple[Tensor, None]:
        logits, classes, shares = ctx.saved_tensors
        if torch.is_grad_enabled():  # Second derivatives need to know where the shares come from.
            shares = F.softmax(_without(logits, classes), dim=1)
        # The share of a removed class is 0; where only removed classes are left, a loss has no gradient at the gap.
        return (shares * gap.sum(1, True)).scatter_add(1, classes, own - gap), None


def remainder(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Logits ``z_k`` at the mixed classes, and ``R - z_k`` with ``R = logsumexp`` over all classes that are not mixed.

    ``R - z_k`` is computed from differences alone, so that large logits lose no digits.

    Args:
        logits: (N, C), float32 or float64.
        classes: the mixed classes, (N, K) int64; repeated ones count once.

    Returns:
        Two tensors (N, K). Where no class is left, ``R`` is a very low finite number.
    """
    own, gap, _ = _Remainder.apply(logits, classes)
    return own, gap
