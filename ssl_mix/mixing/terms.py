"""The mixing terms that any algorithm with labeled and pseudo-labeled images can add to its loss."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_choice, check_not_negative, check_positive
from ssl_mix.losses import AsymmetricMixupLoss, DecoupledMixupLoss
from ssl_mix.losses.decoupled import both_weights, half_weights
from ssl_mix.losses.remainder import pair_loss
from ssl_mix.mixers import Mixer, build_mixer
from ssl_mix.passes import frozen_running_statistics, full_precision
from ssl_mix.randomness import sample_beta
from ssl_mix.types import MixedTarget, PseudoLabels, Step

Mix = Literal["none", "mixup", "dm", "as", "dm-as"]
Ramp = Literal["cosine", "none"]
MixedBy = Literal["mixup", "cutmix", "fmix", "gridmix", "resizemix", "smoothmix"]
MixMask = Literal["confident", "none"]
MixView = Literal["weak", "strong"]
MixNorm = Literal["apart", "shared"]
MixSide = Literal["minor", "major"]
MixHalves = Literal["labeled", "both"]


@dataclass(frozen=True)
class MixingTerms:
    """Mixing terms added to an algorithm's loss: mixed labeled pairs, and labeled images mixed into unlabeled
    ones.

    - labeled pairs: ``mix_weight * DM(CE)`` on the labeled batch mixed with a permutation of itself;
    - asymmetric (AS): ``mix_weight * w(t) * AS`` on labeled images mixed into as many unlabeled ones, drawn
      anew from the batch in each step; the labeled share is below one half. ``w(t) = (1 - cos(pi t / T)) /
      2`` ramps from 0 to 1.

    Both share one forward pass, which normalizes by its own batch. An algorithm that mixes by itself gets the
    same terms on its own mixed images, see :meth:`own`.

    Args:
        mix: "none"; "mixup" (labeled pairs without the decoupled term); "dm" (labeled pairs with it); "as"
            (the asymmetric term); or "dm-as" (both of the latter). The first three are the controls for the
            last two.
        eta: weight of the decoupled term. The paper: 0.1 for static mixers, 1 for puzzlemix, automix and
            samix.
        eta_power: weights each decoupled half by its own share to this power; 0 is the paper.
        mix_weight: weight of the added terms.
        mix_alpha: lam ~ Beta(alpha, alpha). 1 keeps the labeled image visible; with the paper's 0.2, 42 % of
            the folded draws are below 0.01.
        mix_ramp: "cosine" ramps the asymmetric term over the run, "none" gives it full weight from the first
            step.
        mixed_by: the mixer, by name.
        mix_mask: which pseudo-labels count in the asymmetric term: the "confident" ones, by the algorithm's
            own mask, or all ("none").
        mix_view: the view of the unlabeled images that labeled ones are mixed into; default: the first that
            the algorithm has.
        mix_side: whether the labeled image has the "minor" share of an asymmetric pair, as in the paper, or
            the "major" one, as in the authors' transfer code (OpenMixup).
        mix_halves: which classes of an asymmetric pair are decoupled: the "labeled" one, as in the paper, or
            "both" (OpenMixup).
        mix_norm: "apart" leaves the running batch-norm statistics alone; "shared" lets mixed images move
            them.

    Raises:
        ValueError: an option is unknown or out of range.

    Source: Liu et al., "Harnessing Hard Mixed Samples with Decoupled Regularizer" (NeurIPS 2023), section on
    the asymmetrical strategy. Differs: the confidence mask weighs the whole mixed image.
    """

    mix: Mix = "none"
    eta: float = 0.1
    eta_power: float = 0.0
    mix_weight: float = 1.0
    mix_alpha: float = 1.0
    mix_ramp: Ramp = "cosine"
    mixed_by: MixedBy = "mixup"
    mix_mask: MixMask = "confident"
    mix_view: MixView | None = None
    mix_norm: MixNorm = "apart"
    mix_side: MixSide = "minor"
    mix_halves: MixHalves = "labeled"

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            if getattr(self, name) is not None:
                check_choice(name, getattr(self, name), get_args(known))
        for name in ("eta", "eta_power", "mix_weight"):
            check_not_negative(name, getattr(self, name))
        check_positive("mix_alpha", self.mix_alpha)

    def for_views(self, unlabeled_views: tuple[str, ...]) -> "MixingTerms":
        """These options, for an algorithm that has these views of unlabeled images.

        Raises:
            ValueError: the asymmetric term would mix a view that the algorithm does not have.
        """
        if self.asymmetric and self.mix_view not in (None, *unlabeled_views):
            have = ", ".join(unlabeled_views) or "none"
            raise UserError(
                f"mix_view={self.mix_view!r} is not among the unlabeled views of this algorithm ({have}): "
                "choose one of these"
            )
        return self

    @property
    def pairs(self) -> bool:
        """Whether labeled pairs have a term."""
        return self.mix in ("mixup", "dm", "dm-as")

    @property
    def asymmetric(self) -> bool:
        """Whether pairs of a labeled and an unlabeled image have a term."""
        return self.mix in ("as", "dm-as")

    def mixer(self) -> Mixer:
        """The mixer that the options describe."""
        return build_mixer(self.mixed_by, self.mix_alpha)

    def __call__(
        self,
        net: nn.Module,
        images: Tensor,
        labels: Tensor,
        step: Step,
        *,
        unlabeled: dict[str, Tensor] | None = None,
        pseudo: PseudoLabels | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the terms, and each term by itself for the metrics.

        Args:
            net: the student.
            images: labeled images (B, C, H, W), normalized.
            labels: their classes, (B,) int64.
            step: where training stands, and the generator of the draws.
            unlabeled: views of the unlabeled images, (U, C, H, W) each, for "as" and "dm-as".
            pseudo: their pseudo-labels and confidence masks, (U,) each.

        Raises:
            ValueError: the asymmetric term is asked for where there are no pseudo-labels.
        """
        terms: list[_Term] = []
        if self.pairs:
            terms.append(self._labeled_pairs(images, labels, step))
        if self.asymmetric:
            if unlabeled is None or pseudo is None:
                raise UserError(
                    f"mix={self.mix!r} needs unlabeled images and pseudo-labels for them (unlabeled=, "
                    "pseudo=), got none"
                )
            view: str = self.mix_view or next(iter(unlabeled))
            terms.append(self._asymmetric(images, labels, unlabeled[view], pseudo, step))
        if not terms:
            return images.new_zeros(()), {}
        with frozen_running_statistics(net) if self.mix_norm == "apart" else nullcontext():
            logits = net(torch.cat([term.images for term in terms]))
        values = [
            term.loss(part)
            for term, part in zip(terms, logits.split([len(t.images) for t in terms]), strict=True)
        ]
        total = sum(
            (term.weight * value for term, value in zip(terms, values, strict=True)),
            start=images.new_zeros(()),
        )
        return total, {term.name: value.detach() for term, value in zip(terms, values, strict=True)}

    def _labeled_pairs(self, images: Tensor, labels: Tensor, step: Step) -> "_Term":
        mixed, target = self.mixer()(images, labels, generator=step.generator)
        eta = 0.0 if self.mix == "mixup" else self.eta
        loss = DecoupledMixupLoss(eta, eta_power=self.eta_power)
        return _Term("loss/labeled_pairs", mixed, self.mix_weight, lambda logits: loss(logits, target))

    def _asymmetric(
        self, images: Tensor, labels: Tensor, unlabeled: Tensor, pseudo: PseudoLabels, step: Step
    ) -> "_Term":
        count = len(images)
        order = torch.randperm(len(unlabeled), generator=step.generator)
        chosen = order[torch.arange(count) % len(order)].to(unlabeled.device, non_blocking=True)
        minor = sample_folded_beta(count, self.mix_alpha, step.generator, images.device)
        share = 1 - minor if self.mix_side == "minor" else minor  # of the unlabeled image
        # The labeled image is the partner: a mixer that clips its box can only make its share smaller.
        mixed, share = self.mixer().mix(
            unlabeled.index_select(0, chosen), images, lam=share, generator=step.generator
        )
        target = MixedTarget(labels, pseudo.labels.index_select(0, chosen), 1 - share)
        mask = pseudo.mask.index_select(0, chosen) if self.mix_mask == "confident" else None
        weight = self.mix_weight * self._ramp(step)
        return _Term("loss/asymmetric", mixed, weight, lambda logits: self._halves(logits, target, mask))

    def _halves(self, logits: Tensor, target: MixedTarget, mask: Tensor | None) -> Tensor:
        """The loss of asymmetric pairs, with the decoupled term of one half or of both."""
        values: Tensor
        if self.mix_halves == "labeled":
            values = AsymmetricMixupLoss(self.eta, eta_power=self.eta_power)(logits, target, mask)
            return values
        values = DecoupledMixupLoss(self.eta, eta_power=self.eta_power, reduction="none")(logits, target)
        return (values if mask is None else mask * values).mean()

    def _ramp(self, step: Step) -> float:
        return (1 - math.cos(math.pi * step.progress)) / 2 if self.mix_ramp == "cosine" else 1.0

    def own(
        self, logits: Tensor, target: MixedTarget, known: Tensor, labeled: int, step: Step
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The decoupled terms for an algorithm that mixes by itself, on the images that it has mixed.

        ``eta mix_weight / labeled * sum of lam_k^eta_power (-log phi(k, other))`` over the classes k that are
        known: both where two labeled images are mixed ("dm"), one where a labeled and a pseudo-labeled one
        are ("as", ramped), none where both are pseudo-labeled. The mixing and its cross-entropy are the
        algorithm's; so are lam and the mixer, and "mixup" adds nothing.

        Args:
            logits: of the mixed images, (N, C).
            target: their classes and shares; for a pseudo-labeled image its likeliest class.
            known: whether the class of each of the two images is a true label, (N, 2) bool.
            labeled: labeled images in the batch, by which the sum is divided.
            step: where training stands.
        """
        both, shares = known.all(dim=1), both_weights(target.lam)
        halves = known * half_weights(target.labels_a, target.labels_b, shares, eta_power=self.eta_power)
        weights = torch.cat((torch.zeros_like(halves), halves), dim=1)
        costs = pair_loss(full_precision(logits), target.labels_a, target.labels_b, weights)
        values = {}
        if self.pairs and self.mix != "mixup":
            values["loss/labeled_pairs"] = (1.0, (both * costs).sum() / labeled)
        if self.asymmetric:
            values["loss/asymmetric"] = (self._ramp(step), (~both * costs).sum() / labeled)
        total = sum((weight * value for weight, value in values.values()), start=logits.new_zeros(()))
        return self.eta * self.mix_weight * total, {n: v.detach() for n, (_, v) in values.items()}


_CHOICES = {
    "mix": Mix,
    "mix_ramp": Ramp,
    "mixed_by": MixedBy,
    "mix_mask": MixMask,
    "mix_view": MixView,
    "mix_norm": MixNorm,
    "mix_side": MixSide,
    "mix_halves": MixHalves,
}


class _Term(NamedTuple):
    """One mixed batch and what to do with its logits."""

    name: str
    images: Tensor
    weight: float
    loss: Callable[[Tensor], Tensor]


def sample_folded_beta(count: int, alpha: float, generator: torch.Generator, device: torch.device) -> Tensor:
    """Shares below one half: ``min(lam, 1 - lam)`` with ``lam ~ Beta(alpha, alpha)``, (count,) float32."""
    lam = sample_beta(count, alpha, generator, device)
    return torch.minimum(lam, 1 - lam)
