"""LUMix as a module that takes ``(logits, target)``."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_choice
from ssl_mix.losses._common import Reduction, check_options, full_precision, reduce
from ssl_mix.losses.bce import mean_bce
from ssl_mix.losses.dense import PlainTarget, mixed_target
from ssl_mix.losses.lumix import Noise, check_lumix, lumix_lam, lumix_regulariser
from ssl_mix.types import MixedTarget

Kind = Literal["softmax", "bce"]


def _smooth_like(target: Tensor, soft: Tensor) -> Tensor:
    """Distributions ``soft`` with the label smoothing that the rows of ``target`` (N, C) have, if C > 2."""
    classes = target.shape[1]
    if classes == 2:
        return soft
    offset = target.amin(dim=1, keepdim=True)
    return offset + (1 - classes * offset) * soft


class LUMixLoss(nn.Module):
    """LUMix as a criterion: cross-entropy with the perturbed weight ``lam'``, plus ``eta * R(lam')``.

    See :func:`ssl_mix.losses.lumix_cross_entropy`. A dense target (N, C) does not say which picture was the base: ``labels_a`` is
    then the class of the larger weight, and ``lam`` that weight. The network's opinion belongs to the same class, so that it acts
    as it would in the original order; and the random weight is symmetric for ``noise="beta"`` (``lam_r`` and ``1 - lam_r`` are
    equally likely), so that the loss has the same distribution. Clipped normal noise has a mean of 0.32 and leans away from class
    a: there the order matters, and dense targets are refused. Label smoothing of a dense target stays in the cross-entropy; with C
    = 2 it cannot be told from mixing, and counts as such. A picture of one class, and labels (N,) int64, are not perturbed: ``-log
    p`` (or BCE with target 1) and ``eta * (1 - p)``.

    Args:
        random_ratio: share of the random weight in ``lam'``.
        score_ratio: share of the network's opinion in ``lam'``.
        noise: "beta" or "normal", the distribution of the random weight.
        alpha: of Beta(alpha, alpha).
        eta: weight of the regulariser.
        kind: "softmax" cross-entropy, or "bce": binary cross-entropy with targets ``lam'`` and ``1 - lam'``, the mean over the
            classes. The network's opinion and the regulariser use the softmax in both.
        detach: no gradient flows through the network's opinion.
        generator: source of the random weights; None draws from PyTorch's own generator on the device of the logits.
            A graph (``torch.compile`` with ``fullgraph``) cannot hold one: hand ``random_lam`` to ``forward`` there.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ValueError: the target's shape or type does not fit the logits, or an option is wrong.
    """

    def __init__(
        self,
        random_ratio: float = 0.4,
        score_ratio: float = 0.1,
        *,
        noise: Noise = "beta",
        alpha: float = 2.0,
        eta: float = 1.0,
        kind: Kind = "softmax",
        detach: bool = True,
        generator: torch.Generator | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_lumix(random_ratio, score_ratio, noise, alpha)
        check_options(reduction=reduction, eta=eta)
        check_choice("kind", kind, ("softmax", "bce"))
        self.random_ratio, self.score_ratio, self.noise, self.alpha = random_ratio, score_ratio, noise, alpha
        self.eta, self.kind, self.detach, self.generator = eta, kind, detach, generator
        self.reduction = reduction

    def forward(
        self, logits: Tensor, target: MixedTarget | PlainTarget | Tensor, random_lam: Tensor | None = None
    ) -> Tensor:
        """The loss for logits (N, C) and a :class:`MixedTarget`, dense targets (N, C) or labels (N,).

        ``random_lam`` (N,) replaces the draw, as in a compiled step that cannot hold a generator.
        """
        logits = full_precision(logits)
        labels_a, labels_b, lam = mixed_target(logits, target)
        dense = isinstance(target, Tensor) and target.ndim == 2
        lam = self._perturbed(logits, MixedTarget(labels_a, labels_b, lam), random_lam, dense)
        soft = MixedTarget(labels_a, labels_b, lam).dense(logits.shape[1])
        if isinstance(target, Tensor) and dense:
            soft = _smooth_like(target.to(logits.dtype), soft)
        if self.kind == "softmax":
            values = F.cross_entropy(logits, soft, reduction="none")
        else:
            values = mean_bce(logits, soft, sum_classes=False)
        regulariser = lumix_regulariser(logits, labels_a, labels_b, lam, reduction="none")
        return reduce(values + self.eta * regulariser, self.reduction)

    def _perturbed(
        self, logits: Tensor, target: MixedTarget, random_lam: Tensor | None, dense: bool
    ) -> Tensor:
        if dense and self.noise == "normal" and self.random_ratio > 0:
            raise UserError(
                "noise='normal' leans towards class b, and a dense target has lost which class that is; "
                "expected a MixedTarget, or use noise='beta'"
            )
        return lumix_lam(
            logits,
            *target,
            random_ratio=self.random_ratio,
            score_ratio=self.score_ratio,
            random_lam=random_lam,
            noise=self.noise,
            alpha=self.alpha,
            detach=self.detach,
            generator=self.generator,
        )

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return (
            f"random_ratio={self.random_ratio}, score_ratio={self.score_ratio}, noise={self.noise!r}, "
            f"alpha={self.alpha}, eta={self.eta}, kind={self.kind!r}, detach={self.detach}, "
            f"reduction={self.reduction!r}"
        )
