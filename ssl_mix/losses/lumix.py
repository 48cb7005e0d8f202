"""LUMix: how much of each class a mixed image shows is uncertain, so its label weight is perturbed.

Source: Sun et al., "LUMix: Improving Mixup by Better Modelling Label Uncertainty" (2022). Differs: the
regularizer's ``b`` is 1 at either class (the printed "and" would leave nothing); the network's opinion is
detached unless asked otherwise, because otherwise the label follows whatever class is already likelier;
normal draws are clipped to [0, 1].
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_choice, check_not_negative
from ssl_mix.losses._common import Reduction, check_labels, check_options, reduce, weight_like
from ssl_mix.losses.bce import mean_bce
from ssl_mix.losses.dense import PlainTarget, mixed_target
from ssl_mix.losses.lumix_lam import Noise, check_lumix, lumix_lam
from ssl_mix.passes import full_precision
from ssl_mix.types import MixedTarget


def lumix_regularizer(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    reduction: Reduction = "mean",
) -> Tensor:
    """``R = sum_k y_k max(0, b_k - p_k) = lam (1 - p_a) + (1 - lam) (1 - p_b)``: calibrates the network.

    ``y`` is the mixed label, ``p`` the softmax, and ``b`` is 1 at both classes and 0 elsewhere.

    Args:
        logits: (N, C) float; half precision is computed in float32.
        labels_a: classes of the base samples, (N,) int64.
        labels_b: classes of their partners, (N,) int64.
        lam: weight of ``labels_a``, usually from :func:`lumix_lam`, (N,) or one number for all.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) values.

    Raises:
        ValueError: a shape, a dtype or the reduction is wrong.

    Examples:
        >>> lumix_regularizer(torch.zeros(1, 4), torch.tensor([0]), torch.tensor([1]), 0.7)  # 1 - 1/4
        tensor(0.7500)
    """
    logits = full_precision(logits)
    check_labels(logits, labels_a=labels_a, labels_b=labels_b)
    lam = weight_like("lam", lam, logits)
    log_p = F.log_softmax(logits, dim=1).gather(1, torch.stack((labels_a, labels_b), dim=1))
    missing = -torch.expm1(log_p)
    return reduce(lam * missing[:, 0] + (1 - lam) * missing[:, 1], reduction)


def lumix_cross_entropy(
    logits: Tensor,
    labels_a: Tensor,
    labels_b: Tensor,
    lam: Tensor | float,
    *,
    random_ratio: float = 0.4,
    score_ratio: float = 0.1,
    random_lam: Tensor | float | None = None,
    noise: Noise = "beta",
    alpha: float = 2.0,
    eta: float = 1.0,
    detach: bool = True,
    generator: torch.Generator | None = None,
    reduction: Reduction = "mean",
) -> Tensor:
    """LUMix: mixup cross-entropy with the perturbed weight ``lam'`` of :func:`lumix_lam`, plus ``eta *
    R(lam')``.

    Args:
        logits: see :func:`lumix_lam`, as all arguments but the two below.
        labels_a: as there.
        labels_b: as there.
        lam: as there.
        random_ratio: as there.
        score_ratio: as there.
        random_lam: as there.
        noise: as there.
        alpha: as there.
        eta: weight of :func:`lumix_regularizer`.
        detach: as there.
        generator: as there.
        reduction: "mean" over the batch, "sum", or "none" for the (N,) losses.

    Raises:
        ValueError: a shape, a dtype or an option is wrong.

    Examples:
        >>> a, b = torch.tensor([0]), torch.tensor([1])
        >>> lumix_cross_entropy(torch.zeros(1, 4), a, b, 0.7, random_lam=0.2)  # log 4 + 3/4
        tensor(2.1363)
    """
    check_not_negative("eta", eta)
    logits = full_precision(logits)
    lam = lumix_lam(
        logits,
        labels_a,
        labels_b,
        lam,
        random_ratio=random_ratio,
        score_ratio=score_ratio,
        random_lam=random_lam,
        noise=noise,
        alpha=alpha,
        detach=detach,
        generator=generator,
    )
    log_p = F.log_softmax(logits, dim=1).gather(1, torch.stack((labels_a, labels_b), dim=1))
    cost = -log_p - eta * torch.expm1(log_p)
    return reduce(lam * cost[:, 0] + (1 - lam) * cost[:, 1], reduction)


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

    See :func:`ssl_mix.losses.lumix_cross_entropy`. A dense target (N, C) does not say which image was the
    base: ``labels_a`` is then the class of the larger weight, and ``lam`` that weight. The network's opinion
    belongs to the same class, so that it acts as it would in the original order; and the random weight is
    symmetric for ``noise="beta"`` (``lam_r`` and ``1 - lam_r`` are equally likely), so that the loss has the
    same distribution. Clipped normal noise has a mean of 0.32 and leans away from class a: there the order
    matters, and dense targets are refused. Label smoothing of a dense target stays in the cross-entropy; with
    C = 2 it counts as mixing. An image of one class, and labels (N,) int64, are not perturbed: ``-log p`` (or
    BCE with target 1) and ``eta * (1 - p)``.

    Args:
        random_ratio: share of the random weight in ``lam'``.
        score_ratio: share of the network's opinion in ``lam'``.
        noise: "beta" or "normal", the distribution of the random weight.
        alpha: of Beta(alpha, alpha).
        eta: weight of the regularizer.
        kind: "softmax" cross-entropy, or "bce": binary cross-entropy with targets ``lam'`` and ``1 - lam'``,
            the mean over the classes. The network's opinion and the regularizer use the softmax in both.
        detach: no gradient flows through the network's opinion.
        generator: source of the random weights; None draws from PyTorch's own generator on the device of the
            logits. A whole graph cannot hold one: hand ``random_lam`` to ``forward`` there.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ValueError: the target's shape or type does not fit the logits, or an option is wrong.

    Examples:
        >>> LUMixLoss(eta=1.0)(torch.zeros(1, 4), torch.tensor([0]))  # not mixed: log 4 + 3/4
        tensor(2.1363)
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
        regularizer = lumix_regularizer(logits, labels_a, labels_b, lam, reduction="none")
        return reduce(values + self.eta * regularizer, self.reduction)

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
