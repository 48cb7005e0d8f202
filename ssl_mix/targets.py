"""Targets made from predictions, what makes them less biased, and the ramps that weigh them."""

from dataclasses import dataclass, fields
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_choice, check_kinds, check_share, plain_hints
from ssl_mix.passes import full_precision
from ssl_mix.quota import ClassQuota
from ssl_mix.rebalance import Addon, Rebalance, build_addon, check_addon
from ssl_mix.rebalance.prototypes import smoothed
from ssl_mix.transfer.heads import feature_width
from ssl_mix.types import Nets, PseudoLabels, Step, Task


def hard_pseudo_labels(
    probabilities: Tensor, indices: Tensor | None, threshold: float | Tensor = 0.0
) -> PseudoLabels:
    """Hard pseudo-labels ``argmax p`` with the mask ``max p >= threshold``.

    Args:
        probabilities: of the unlabeled images, (N, C), without gradient.
        indices: their positions in the unlabeled part, (N,) int64, or None if unknown.
        threshold: tau, in [0, 1]; one for all, or one for each image (N,). At 0 every pseudo-label counts.
    """
    confidence, labels = probabilities.max(dim=1)
    return PseudoLabels(indices, labels, confidence, (confidence >= threshold).float())


def confident_pseudo_labels(logits: Tensor, indices: Tensor | None, threshold: float = 0.0) -> PseudoLabels:
    """:func:`hard_pseudo_labels` from ``p = softmax(logits)``, detached; ``logits`` (N, C)."""
    return hard_pseudo_labels(predicted(logits), indices, threshold)


def predicted(logits: Tensor) -> Tensor:
    """``softmax(logits)`` without gradient, (N, C) float32 or better."""
    return torch.softmax(full_precision(logits.detach()), dim=1)


def sharpen(probabilities: Tensor, temperature: float) -> Tensor:
    """``p^(1/T) / sum p^(1/T)``, (N, C): below 1 the temperature makes a pseudo-label more certain."""
    return torch.softmax(probabilities.log() / temperature, dim=1)


def align(probabilities: Tensor, mean: Tensor, wanted: Tensor | float) -> Tensor:
    """Distribution alignment: ``p * wanted / mean``, made to sum to 1 again.

    Args:
        probabilities: (N, C).
        mean: what the network predicts on average, (C,), each above 0.
        wanted: what it should predict on average, (C,), or one number for a uniform distribution.
    """
    aligned = probabilities * (wanted / mean)
    return aligned / aligned.sum(dim=1, keepdim=True)


def ramp_up(step: Step, share: float) -> float:
    """A weight that grows evenly from 0 to 1 over the first ``share`` of the run, and stays; 1 from the start
    for 0."""
    return min(1.0, step.progress / share) if share else 1.0


Align = Literal["none", "labeled", "uniform"]
AVERAGE_DECAY = 0.999  # of the averages behind the alignment


@dataclass(frozen=True, kw_only=True)
class Targets:
    """How pseudo-labels are made less biased, before an algorithm sharpens them or holds them against a
    threshold; see :class:`Adjuster`.

    Args:
        align: distribution alignment, towards the class shares of the "labeled" images, towards a "uniform"
            distribution, or "none": pseudo-labels that favor some classes are scaled so that on average they
            do not.
        smooth_targets: share of the nearest class prototype in a pseudo-label, in [0, 1]; the rest is what
            the network predicts.
        balance_classes: take as many pseudo-labels as the algorithm would, but the most confident ones of
            each class, as many of each.
        adaptive_thresholds: take of each class the most confident pseudo-labels, the same share of all that
            are of it that the algorithm takes of the class with the most labels (Adsh): for long tails.
        rebalance: an add-on for long tails: "darp", "daso" and "debiaspl" correct pseudo-labels, "saw" weighs
            them, "crest" and "crest+" let them join the labels; "abc", "cossl" and "tras" train a second
            classifier, which answers in the end.

    Raises:
        ValueError: an option is unknown or out of range.
    """

    align: Align = "none"
    smooth_targets: float = 0.0
    balance_classes: bool = False
    adaptive_thresholds: bool = False
    rebalance: Rebalance = "none"

    def __post_init__(self) -> None:
        check_kinds(vars(self), plain_hints(Targets))
        check_choice("align", self.align, get_args(Align))
        check_choice("rebalance", self.rebalance, get_args(Rebalance))
        check_share("smooth_targets", self.smooth_targets)
        if self.balance_classes and self.adaptive_thresholds:
            raise UserError(
                "`balance_classes` takes as many pseudo-labels of each class, `adaptive_thresholds` the same "
                "share: leave out one of them"
            )
        if self.rebalance == "crest+" and self.align != "none":
            raise UserError("`rebalance=crest+` aligns pseudo-labels by itself: leave out `align`")

    def check(
        self,
        name: str,
        *,
        used: bool = True,
        selected: bool = True,
        threshold: bool = True,
        fixed: bool = False,
        margins: bool = False,
        remembers: bool = False,
    ) -> "Targets":
        """These options, as ones of an algorithm.

        Args:
            name: of the algorithm.
            used: whether it makes pseudo-labels, which some do for mixing alone.
            selected: whether some pseudo-labels count and others do not.
            threshold: whether it chooses those that do by itself.
            fixed: whether it makes or uses them in a way that leaves no place for an add-on.
            margins: whether its loss reads :meth:`Adjuster.margins`.
            remembers: whether it has a memory of single labeled images.

        Raises:
            ValueError: an option has no effect on it.
        """
        if self.adaptive_thresholds and not threshold:
            raise UserError(f"`adaptive_thresholds` follows a threshold, and {name} has none: leave it out")
        given = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        if given and not used:
            raise UserError(
                f"`{given[0]}` concerns pseudo-labels, and {name} makes them for `mix=as` and `mix=dm-as` "
                "alone: choose one of them too"
            )
        check_addon(self.rebalance, name, fixed, selected and threshold, margins, remembers)
        for option in ("balance_classes", "adaptive_thresholds"):
            if getattr(self, option) and not selected:
                raise UserError(
                    f"`{option}` chooses which pseudo-labels count, and {name} chooses none: leave it out"
                )
        return self


PLAIN, LABELED, UNIFORM = Targets(), Targets(align="labeled"), Targets(align="uniform")


class Adjusted(NamedTuple):
    """Class distributions of unlabeled images that were made less biased, without gradient.

    Attributes:
        probabilities: smoothed and aligned, (N, C).
        smoothed: before the alignment, (N, C).
        news: what the adjuster's buffers become after this step, for ``Algorithm.commit``.
    """

    probabilities: Tensor
    smoothed: Tensor
    news: dict[str, Tensor]


class Adjuster(nn.Module):
    """What becomes of predicted probabilities by :class:`Targets`: an algorithm's ``adjust``, with memory.

    1. Smoothed: ``q = (1 - w) p + w s`` with w = ``smooth_targets``, ``s = softmax(20 cos(f - m, w_c - m))``.
       f are the teacher's features of the image, w_c their moving average (0.99 per step in which the class
       occurs) over labeled images of class c, m the mean of all w_c. Over classes of which no labeled image
       has been seen yet, s is p; over the others it sums to what p does.
    2. Corrected by the add-on of ``rebalance``.
    3. Aligned: ``q r / a``, made to sum to 1, where a is the moving average of the mean of q, and r that of
       the shares of the classes in the labeled batches, or 1 / C. Both begin as plain means over all steps
       and a uniform one, and take the step in before they are used.
    4. Chosen and weighed, by :meth:`select`.

    Args:
        options: what is done.
        decay: of the averages behind the alignment, at most.
        warmup: whether these begin as plain means, or move by ``1 - decay`` from the first step on.

    Attributes:
        mean_prediction: a, (C,).
        class_share: r, (C,), for ``align`` "labeled".
        prototypes: w_c, (C, D).
        known: classes that have a prototype, (C,) bool.

    Source: alignment: Berthelot et al., "ReMixMatch" (ICLR 2020), section 3.1, towards the labeled classes;
    Chen et al., "SoftMatch" (ICLR 2023), section 3.3, towards a uniform distribution. Smoothing: Oh et al.,
    "DASO: Distribution-Aware Semantics-Oriented Pseudo-Label" (CVPR 2022), equations 1 to 3. Differs: one w
    for all classes where DASO's grows with the class's share of pseudo-labels; the teacher's features on both
    sides, and their moving averages for DASO's queue; cosines from the mean m, without which those of
    features that are never negative are all close to 1. CoMatch, which smooths by neighbors, aligns first;
    here it comes last, so that the mean of what comes out is what was wanted.
    """

    mean_prediction: Tensor
    class_share: Tensor
    prototypes: Tensor
    known: Tensor
    addon: Addon | None

    def __init__(self, options: Targets, *, decay: float = AVERAGE_DECAY, warmup: bool = True) -> None:
        super().__init__()
        self.options, self.decay, self.warmup = options, decay, warmup
        self.addon = build_addon(options.rebalance)

    def extend(self, net: nn.Module, task: Task) -> None:
        """The buffers for a network and its data.

        Raises:
            ValueError: targets are to be smoothed, and the network has no linear head over its features.
        """
        classes, options = task.num_classes, self.options
        if options.align != "none":
            self.register_buffer("mean_prediction", torch.full((classes,), 1 / classes))
        if options.align == "labeled":
            self.register_buffer("class_share", torch.full((classes,), 1 / classes))
        if options.smooth_targets:
            self.register_buffer("prototypes", torch.zeros(classes, feature_width(net)))
            self.register_buffer("known", torch.zeros(classes, dtype=torch.bool))
        if options.balance_classes or options.adaptive_thresholds:
            shares = task.class_shares or (1.0,)
            head = shares.index(max(shares)) if options.adaptive_thresholds else None
            self.quota = ClassQuota(task.num_unlabeled, classes, head)
        if self.addon is not None:
            self.addon.extend(net, task)

    @torch.no_grad()
    def forward(
        self,
        probabilities: Tensor,
        nets: Nets,
        labeled: tuple[Tensor, Tensor],
        unlabeled: Tensor,
        step: Step,
        *,
        shown: Tensor | None = None,
    ) -> Adjusted:
        """Smooth, correct and align.

        Args:
            probabilities: p, of the unlabeled images, (N, C).
            nets: the teacher's features are compared.
            labeled: images (B, ...) of the step and their classes, (B,) int64.
            unlabeled: images that p is about, (N, ...).
            step: where training stands.
            shown: what stands for the classes of the labeled images in the alignment, (B, C); default: 1 for
                the class of each.
        """
        p = probabilities.detach()
        news: dict[str, Tensor] = {}
        if self.options.smooth_targets:
            memory = self.prototypes, self.known
            p, news = smoothed(p, nets.teacher, labeled, unlabeled, memory, self.options.smooth_targets)
        if self.addon is not None:
            p, found = self.addon.correct(p)
            news |= {f"addon.{name}": value for name, value in found.items()}
        if self.options.align == "none":
            return Adjusted(p, p, _named(news))
        news["mean_prediction"] = self._average("mean_prediction", p.mean(dim=0), step)
        wanted: Tensor | float = 1 / p.shape[1]
        if self.options.align == "labeled":
            classes = F.one_hot(labeled[1], p.shape[1]).to(p.dtype) if shown is None else shown
            wanted = news["class_share"] = self._average("class_share", classes.mean(dim=0), step)
        return Adjusted(align(p, news["mean_prediction"], wanted), p, _named(news))

    def select(self, pseudo: PseudoLabels, adjusted: Adjusted) -> tuple[PseudoLabels, dict[str, Tensor]]:
        """The pseudo-labels with those that count chosen anew where each class is to have its own, see
        :class:`ssl_mix.quota.ClassQuota`, and weighed by an add-on; and all news of the step."""
        news = adjusted.news
        if self.options.balance_classes or self.options.adaptive_thresholds:
            mask, found = self.quota(pseudo)
            pseudo, news = pseudo._replace(mask=mask), news | _named(found, "quota.")
        if self.addon is not None:
            pseudo, found = self.addon.weigh(pseudo)
            news = news | _named(found, "addon.")
        return pseudo, news

    def margins(self, logits: Tensor) -> Tensor:
        """Logits (N, C) that learn from pseudo-labels, with the margins that an add-on asks for."""
        return logits if self.addon is None else self.addon.with_margins(logits)

    def _average(self, name: str, new: Tensor, step: Step) -> Tensor:
        """A moving average with this step's value taken in."""
        warm = (step.number + 1) / (step.number + 2) if self.warmup else 1.0
        return torch.lerp(new, getattr(self, name).to(new), min(self.decay, warm))


def _named(news: dict[str, Tensor], within: str = "") -> dict[str, Tensor]:
    """News by the names that the buffers have in the algorithm."""
    return {f"adjust.{within}{name}": value for name, value in news.items()}
