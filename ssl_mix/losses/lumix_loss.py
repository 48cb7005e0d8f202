"""LUMix as a criterion for the loops of others."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_choice, check_share
from ssl_mix.losses._common import Reduction, check_options, reduce
from ssl_mix.losses._pairs import (
    IGNORED,
    Pairs,
    as_pairs,
    check_class_weights,
    check_ignore_index,
    class_weights,
    full_rows,
    rows,
)
from ssl_mix.losses.bce import mean_bce, two_hot
from ssl_mix.losses.dense import PlainTarget, check_dense, check_target, decode_classes, named
from ssl_mix.losses.lumix import lumix_values, regularizer
from ssl_mix.losses.lumix_lam import Noise, check_lumix, draw_lam, perturbed
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

    See :func:`ssl_mix.losses.lumix_cross_entropy`. A dense target (N, C) does not say which image was the
    base: ``labels_a`` is then the class of the larger weight, and ``lam`` that weight. The network's opinion
    belongs to the same class, so that it acts as it would in the original order; and the random weight is
    symmetric for ``noise="beta"`` (``lam_r`` and ``1 - lam_r`` are equally likely), so that the loss has the
    same distribution. Clipped normal noise has a mean of 0.32 and leans away from class a: there the order
    matters, and dense targets are refused. Label smoothing of a dense target stays in the cross-entropy; with
    C = 2 it counts as mixing. An image of one class, and labels (N,) int64, are not perturbed: ``-log p`` (or
    BCE with target 1) and ``eta * (1 - p)``.

    In evaluation mode (``eval()``) nothing is perturbed and nothing drawn: it is the loss with lam as it is,
    and ``random_lam`` is not looked at.

    Args:
        random_ratio: share of the random weight in ``lam'``.
        score_ratio: share of the network's opinion in ``lam'``.
        noise: "beta" or "normal", the distribution of the random weight.
        alpha: of Beta(alpha, alpha).
        eta: weight of the regularizer.
        kind: "softmax" cross-entropy, or "bce": binary cross-entropy with targets ``lam'`` and ``1 - lam'``,
            the mean over the classes. The network's opinion and the regularizer use the softmax in both.
        detach: no gradient flows through the network's opinion.
        weight: of each class, (C,) float.
        ignore_index: a label that counts nothing. A pair of which one label is ignored is an unmixed image of
            the other class that counts by that class's share; dense targets have nothing to ignore.
        label_smoothing: share of the cross-entropy's target that is spread over all classes; not for "bce".
        generator: source of the random weights; None draws from PyTorch's own generator on the device of the
            logits. A whole graph cannot hold one: hand ``random_lam`` to ``forward`` there.
        reduction: "mean" over the batch, "sum" or "none".

    Raises:
        ValueError: the target's shape or type does not fit the logits, or an option is wrong.

    Examples:
        >>> LUMixLoss(eta=1.0)(torch.zeros(1, 4), torch.tensor([0]))  # not mixed: log 4 + 3/4
        tensor(2.1363)
    """

    weight: Tensor | None

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
        weight: Tensor | None = None,
        ignore_index: int = IGNORED,
        label_smoothing: float = 0.0,
        generator: torch.Generator | None = None,
        reduction: Reduction = "mean",
    ) -> None:
        super().__init__()
        check_lumix(random_ratio, score_ratio, noise, alpha)
        check_options(reduction=reduction, eta=eta)
        check_choice("kind", kind, ("softmax", "bce"))
        check_share("label_smoothing", label_smoothing)
        check_class_weights(weight)
        check_ignore_index(ignore_index)
        if kind == "bce" and label_smoothing:
            raise UserError("label_smoothing belongs to kind='softmax': 'bce' has a target per class")
        self.random_ratio, self.score_ratio, self.noise, self.alpha = random_ratio, score_ratio, noise, alpha
        self.eta, self.kind, self.detach, self.generator = eta, kind, detach, generator
        self.reduction, self.ignore_index, self.label_smoothing = reduction, ignore_index, label_smoothing
        self.register_buffer("weight", weight)

    def forward(
        self, logits: Tensor, target: MixedTarget | PlainTarget | Tensor, random_lam: Tensor | None = None
    ) -> Tensor:
        """The loss for logits (N, C) and a :class:`MixedTarget`, dense targets (N, C) or labels (N,).

        ``random_lam`` (N,) replaces the draw, as in a compiled step that cannot hold a generator.
        """
        logits, target = full_rows(logits), named(target)
        if isinstance(target, MixedTarget):
            return self._pairs(logits, target, random_lam)
        check_target(logits, target)
        if target.is_floating_point():
            return self._dense(logits, target, random_lam)
        return self._pairs(logits, MixedTarget(target, target, logits.new_ones(())), random_lam)

    def _pairs(self, logits: Tensor, target: MixedTarget, random_lam: Tensor | None) -> Tensor:
        labels_a, labels_b, lam = target
        # Class weights of BCE belong to its terms, not to the samples.
        weight = self.weight if self.kind == "softmax" else None
        pairs = as_pairs(logits, lam, weight, self.ignore_index, labels_a=labels_a, labels_b=labels_b)
        pairs = self._perturbed(pairs, random_lam)
        if self.kind == "softmax":
            values = lumix_values(pairs, self.weight, self.label_smoothing, self.eta)
        else:
            soft = two_hot(pairs, pairs.alone())
            values = pairs.of_kept(mean_bce(pairs.logits, soft, weight=self.weight))
            values = values + self.eta * regularizer(pairs, F.log_softmax(pairs.logits, dim=1))
        return pairs.reduce(values, self.reduction)

    def _dense(self, logits: Tensor, target: Tensor, random_lam: Tensor | None) -> Tensor:
        if self.noise == "normal" and self.random_ratio > 0 and self.training:
            raise UserError(
                "noise='normal' leans towards class b, and a dense target has lost which class that is; "
                "expected a MixedTarget, or use noise='beta'"
            )
        shape = logits.shape[:1] + logits.shape[2:]
        logits, target = rows(logits), rows(target.to(logits.dtype))
        check_dense(target, self.ignore_index)
        labels, shares = decode_classes(target, 2)
        same = labels[:, :1] == labels[:, 1:]
        mixed = shares.amin(1, keepdim=True) > same
        pairs = Pairs(logits, labels, same, shares, mixed, None, None, shape)
        pairs = self._perturbed(pairs, random_lam)
        soft = _smooth_like(target, torch.zeros_like(logits).scatter_add(1, labels, pairs.shares))
        weight = None if self.weight is None else class_weights(self.weight, logits)
        if self.kind == "softmax":
            smoothing = self.label_smoothing
            values = F.cross_entropy(logits, soft, weight, label_smoothing=smoothing, reduction="none")
        else:
            values = mean_bce(logits, soft, weight=weight)
        values = values + self.eta * regularizer(pairs, F.log_softmax(logits, dim=1))
        return reduce(values.view(shape), self.reduction)

    def _perturbed(self, pairs: Pairs, random_lam: Tensor | None) -> Pairs:
        """The pairs with perturbed shares while training, and as they are in evaluation."""
        if not self.training:
            return pairs
        if random_lam is None and self.random_ratio > 0:
            random_lam = draw_lam(pairs.shape[0], self.noise, self.alpha, self.generator, pairs.logits)
        lam = perturbed(pairs, random_lam, self.random_ratio, self.score_ratio, self.detach)
        both = torch.stack((lam, 1 - lam), 1)
        return pairs._replace(shares=both.where(pairs.shares.amin(1, keepdim=True) > 0, pairs.shares))

    def extra_repr(self) -> str:
        """The options, for ``print(loss)``."""
        return (
            f"random_ratio={self.random_ratio}, score_ratio={self.score_ratio}, noise={self.noise!r}, "
            f"alpha={self.alpha}, eta={self.eta}, kind={self.kind!r}, detach={self.detach}, "
            f"ignore_index={self.ignore_index}, label_smoothing={self.label_smoothing}, "
            f"reduction={self.reduction!r}"
        )
