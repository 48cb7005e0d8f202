"""The log-sum-exp over the classes that are not in a mixed picture: the one pass over the logits that decoupling needs."""

from typing import Any

import torch
from torch import Tensor


def _without(logits: Tensor, classes: Tensor) -> Tensor:
    # A finite stand-in for -inf: where nothing is left, the gradient must stay finite too.
    return logits.scatter(1, classes, torch.finfo(logits.dtype).min / 4)


def _powers(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Exponentials of the remaining logits minus the largest of them, 0 for a removed class; and that largest, (N, 1)."""
    rest = _without(logits, classes)
    top = rest.detach().amax(1, True)  # Nothing that is computed from both depends on it.
    return rest.sub_(top).exp_(), top


class _Remainder(torch.autograd.Function):
    """The function below with a closed form as gradient: one pass backward, where plain autograd makes ten over (N, C).

    ``torch.func.vmap`` and ``grad`` work; forward-mode derivatives (``jvp``) do not.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        powers, top = _powers(logits, classes)
        total = powers.sum(1, True)
        own = logits.gather(1, classes)
        return own, (top - own) + total.log(), powers, total

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[2:])
        ctx.save_for_backward(*inputs, *output[2:])

    @staticmethod
    def backward(ctx: Any, own: Tensor, gap: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        logits, classes, powers, total = ctx.saved_tensors
        if torch.is_grad_enabled():  # Second derivatives need to know where the powers come from.
            powers, _top = _powers(logits, classes)
            total = powers.sum(1, True)
        # The share of a removed class is 0; where only removed classes are left, a loss has no gradient at the gap.
        return (powers * (gap.sum(1, True) / total)).scatter_add_(1, classes, own - gap), None


def remainder(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Logits ``z_k`` at the mixed classes, and ``R - z_k`` with ``R = logsumexp`` over all classes that are not mixed.

    ``R - z_k`` is computed from differences alone, so that large logits lose no digits.

    Args:
        logits: (N, C), float32 or float64.
        classes: the mixed classes, (N, K) int64; repeated ones count once.

    Returns:
        Two tensors (N, K). Where no class is left, ``R`` is a very low finite number.
    """
    own, gap, *_ = _Remainder.apply(logits, classes)
    return own, gap
