"""The mixing terms that any algorithm with labeled and pseudo-labeled images can add to its loss."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_choice, check_not_negative, check_positive
from ssl_mix.losses import AsymmetricMixupLoss, DecoupledMixupLoss
from ssl_mix.losses._common import check_floats
from ssl_mix.losses.decoupled import half_weights
from ssl_mix.losses.remainder import pair_loss
from ssl_mix.mixers import MIXERS, Mixer, MixerName, build_mixer
from ssl_mix.mixing.words import CHOICES, VARIANTS, Mix, MixHead, Ramp, Variant, VariantName
from ssl_mix.passes import frozen_running_statistics, full_precision
from ssl_mix.randomness import sample_beta
from ssl_mix.transfer.heads import add_mix_head, mixing_net
from ssl_mix.types import MixedTarget, PseudoLabels, Step


@dataclass(frozen=True, kw_only=True)
class MixingTerms:
    """What an algorithm's loss gains by mixing: terms of mixed labeled pairs, and of labeled images mixed
    into unlabeled ones.

    - labeled pairs: ``mix_weight * DM(CE)`` on the labeled batch mixed with a permutation of itself;
    - asymmetric (AS): ``mix_weight * w(t) * AS`` on labeled images mixed into as many unlabeled ones, drawn
      anew from the batch in each step; the labeled share is below one half.
      ``w(t) = (1 - cos(pi t / T)) / 2`` ramps from 0 to 1.

    Both share one forward pass, which normalizes by its own batch. An algorithm that mixes by itself gets the
    same terms on its own mixed images, see :meth:`own`; ``supervised`` mixes its whole batch by these words.

    Args:
        mix: "none"; "mixup" (labeled pairs without the decoupled term); "dm" (labeled pairs with it); "as"
            (the asymmetric term); or "dm-as" (both of the latter). The first three are the controls for the
            last two.
        mixer: what mixes two images, by name.
        eta: weight of the decoupled term. The paper: 0.1 for static mixers, 1 for puzzlemix, automix and
            samix.
        mix_weight: weight of the added terms.
        mix_alpha: lam ~ Beta(alpha, alpha); default: the mixer's own, mostly 1, which keeps the labeled image
            visible: with the paper's 0.2, 42 % of the folded draws are below 0.01.
        mix_ramp: "cosine" ramps the asymmetric term over the run, "none" gives it full weight from the first
            step.
        mix_head: mixed images are classified by the "shared" head, or by one of their "own", so that what
            they teach does not shake the confidence of the other.
        mix_variant: "paper"; or "openmixup", the authors' transfer code, see :meth:`openmixup`.

    Raises:
        ValueError: an option is unknown or out of range.

    Source: Liu et al., "Harnessing Hard Mixed Samples with Decoupled Regularizer" (NeurIPS 2023), section on
    the asymmetrical strategy. Differs: the confidence mask weighs the whole mixed image.
    """

    mix: Mix = "none"
    mixer: MixerName = "mixup"
    eta: float = 0.1
    mix_weight: float = 1.0
    mix_alpha: float | None = None
    mix_ramp: Ramp = "cosine"
    mix_head: MixHead = "shared"
    mix_variant: VariantName = "paper"

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            check_choice(name, getattr(self, name), known)
        for name in ("eta", "mix_weight"):
            check_not_negative(name, getattr(self, name))
        if self.mix_alpha is not None:
            check_positive("mix_alpha", self.mix_alpha)
        self.build_mixer()

    @classmethod
    def of(cls, mixing: "MixingTerms | Mix") -> "MixingTerms":
        """Mixing terms as they are, or those that one word such as "dm-as" means."""
        return mixing if isinstance(mixing, MixingTerms) else cls(mix=mixing)

    @classmethod
    def openmixup(cls, mix: Mix = "dm-as", **options: Any) -> "MixingTerms":
        """DM/AS as in its authors' transfer code (OpenMixup), which is not as in their paper.

        The labeled image has the larger share, both halves of an asymmetric pair are decoupled and weighted
        by their share, every pseudo-label counts, mixed images have a head of their own and move the running
        batch-norm statistics. That code weights by lam where ours does by 2 lam: eta 0.05 is its 0.1. Left
        out: its projector of two layers.
        """
        return cls(mix=mix, **{"eta": 0.05, "mix_head": "own", "mix_variant": "openmixup", **options})

    def check_added(self) -> "MixingTerms":
        """These terms, as ones that are added to an algorithm's loss.

        Raises:
            ValueError: the mixer asks a network or mixes hidden layers, which ``supervised`` alone does.
        """
        mixer = MIXERS[self.mixer]
        if getattr(mixer, "needs", None) or getattr(mixer, "hidden", False):
            raise UserError(
                f"`mixer={self.mixer}` asks a network or mixes its hidden layers, which the algorithm "
                "'supervised' alone does: take mixup, cutmix, resizemix, fmix, gridmix or smoothmix here"
            )
        return self

    def check_own(self) -> "MixingTerms":
        """These terms, as ones on the images that an algorithm mixes by itself, see :meth:`own`.

        Raises:
            ValueError: an option that has no effect there is given.
        """
        defaults = MixingTerms()
        for name in ("mixer", "mix_alpha", "mix_head"):
            if getattr(self, name) != getattr(defaults, name):
                raise UserError(
                    f"`{name}={getattr(self, name)}` has no effect on an algorithm that mixes by itself, as "
                    "MixMatch and ReMixMatch do: leave it out"
                )
        return self

    def extend(self, net: nn.Module) -> nn.Module:
        """The network, with a second head for mixed images if they are to have one."""
        if self.mix != "none" and self.mix_head == "own":
            add_mix_head(net)
        return net

    @property
    def pairs(self) -> bool:
        """Whether labeled pairs have a term."""
        return self.mix in ("mixup", "dm", "dm-as")

    @property
    def asymmetric(self) -> bool:
        """Whether pairs of a labeled and an unlabeled image have a term."""
        return self.mix in ("as", "dm-as")

    @property
    def masked(self) -> bool:
        """Whether it matters here which pseudo-labels count."""
        return self.asymmetric and self.variant.masked

    @property
    def variant(self) -> Variant:
        """The switches of ``mix_variant``."""
        return VARIANTS[self.mix_variant]

    def build_mixer(self) -> Mixer:
        """The mixer that the options describe."""
        return build_mixer(self.mixer, self.mix_alpha)

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
        if self.mix != "none":
            check_floats(images=images, **(unlabeled or {}))
        terms: list[_Term] = []
        if self.pairs:
            terms.append(self._labeled_pairs(images, labels, step))
        if self.asymmetric:
            if unlabeled is None or pseudo is None:
                raise UserError(
                    f"mix={self.mix!r} needs unlabeled images and pseudo-labels for them (unlabeled=, "
                    "pseudo=), got none"
                )
            first = next(iter(unlabeled.values()))
            if first.ndim != images.ndim or not len(first) or len(pseudo.labels) != len(first):
                raise UserError(
                    f"unlabeled must be (U, ...) like the images {tuple(images.shape)}, U pseudo-labels, "
                    f"got {tuple(first.shape)}"
                )
            terms.append(self._asymmetric(images, labels, first, pseudo, step))
        if not terms:
            return torch.zeros((), device=images.device), {}
        with nullcontext() if self.variant.moves_statistics else frozen_running_statistics(net):
            logits = mixing_net(net)(torch.cat([term.images for term in terms]))
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
        mixed, target = self.build_mixer()(images, labels, generator=step.generator)
        eta = 0.0 if self.mix == "mixup" else self.eta
        loss = DecoupledMixupLoss(eta, eta_power=self.variant.eta_power)
        return _Term("loss/labeled_pairs", mixed, self.mix_weight, lambda logits: loss(logits, target))

    def _asymmetric(
        self, images: Tensor, labels: Tensor, unlabeled: Tensor, pseudo: PseudoLabels, step: Step
    ) -> "_Term":
        count = len(images)
        order = torch.randperm(len(unlabeled), generator=step.generator)
        chosen = order[torch.arange(count) % len(order)].to(unlabeled.device, non_blocking=True)
        minor = sample_beta(count, self.mix_alpha or 1.0, step.generator, images.device, folded=True)
        share = 1 - minor if self.variant.labeled_share == "minor" else minor  # of the unlabeled image
        # The labeled image is the partner: a mixer that clips its box can only make its share smaller.
        mixed, share = self.build_mixer().mix(
            unlabeled.index_select(0, chosen), images, lam=share, generator=step.generator
        )
        target = MixedTarget(labels, pseudo.labels.index_select(0, chosen), 1 - share)
        mask = pseudo.mask.index_select(0, chosen) if self.variant.masked else None
        weight = self.mix_weight * self._ramp(step)
        return _Term("loss/asymmetric", mixed, weight, lambda logits: self._halves(logits, target, mask))

    def _halves(self, logits: Tensor, target: MixedTarget, mask: Tensor | None) -> Tensor:
        """The loss of asymmetric pairs, with the decoupled term of one half or of both."""
        power = self.variant.eta_power
        if not self.variant.both_halves:
            return AsymmetricMixupLoss(self.eta, eta_power=power).forward(logits, target, mask)
        values = DecoupledMixupLoss(self.eta, eta_power=power, reduction="none").forward(logits, target)
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
        both, classes = known.all(dim=1), torch.stack(target[:2], dim=1)
        shares = torch.stack((target.lam, 1 - target.lam), dim=1)
        same = classes[:, :1] == classes[:, 1:]
        mixed = shares.amin(1, keepdim=True) > same
        halves = known * half_weights(mixed, shares, eta_power=self.variant.eta_power)
        costs = pair_loss(full_precision(logits), classes, same, torch.zeros_like(shares), halves)
        values = {}
        if self.pairs and self.mix != "mixup":
            values["loss/labeled_pairs"] = (1.0, (both * costs).sum() / labeled)
        if self.asymmetric:
            values["loss/asymmetric"] = (self._ramp(step), (~both * costs).sum() / labeled)
        total = sum((weight * value for weight, value in values.values()), start=logits.new_zeros(()))
        return self.eta * self.mix_weight * total, {n: v.detach() for n, (_, v) in values.items()}


class _Term(NamedTuple):
    """One mixed batch and what to do with its logits."""

    name: str
    images: Tensor
    weight: float
    loss: Callable[[Tensor], Tensor]
