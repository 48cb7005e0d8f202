"""How mixers, label policies, losses and regularizers go together: the loss of mixed images, and what is
refused."""

from typing import Any, Literal, get_args

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_share
from ssl_mix.losses import (
    DecoupledMixupBCELoss,
    DecoupledMixupLoss,
    lumix_lam,
    lumix_regularizer,
)
from ssl_mix.mixers import MIXERS
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.types import JointTarget, MixedTarget

Criterion = Literal["ce", "bce"]
LabelPolicy = Literal["plain", "lumix", "transmix"]
INTERPOLATING = ("mixup", "manifoldmix", "patchmixup", "moex", "patchup-soft", "alignmix", "stylemix")


class MixingLoss:
    """Cross-entropy or binary cross-entropy of mixed images, with the choices of the papers.

    Args:
        mixing: "dm" adds the decoupled term, weighted by its ``eta``; which mixer decides how "bce" rescales
            lam with it: by t = 0.5, xi = 1 where images are blended everywhere, and by t = 1, xi = 0.8 where
            regions are cut ("mixup-cutmix" too), as in the paper.
        criterion: "ce" or "bce".
        label_policy: "lumix" perturbs lam and adds LUMix's regularizer; "plain" and "transmix" take lam as it
            comes.
        label_smoothing: of the cross-entropy, as in ``torch.nn.CrossEntropyLoss``.
        target_threshold: of "bce": a class is wanted wholly where its share is above this, below 1/2, and
            else not at all, as timm's ``BinaryCrossEntropy`` has it; None wants it by its share.

    Raises:
        ValueError: an option is unknown, or does not fit another.
    """

    def __init__(
        self,
        mixing: MixingTerms,
        criterion: Criterion = "ce",
        label_policy: LabelPolicy = "plain",
        *,
        label_smoothing: float = 0.0,
        target_threshold: float | None = None,
    ) -> None:
        decoupled = mixing.mix == "dm"
        check_choice("criterion", criterion, get_args(Criterion))
        check_choice("label_policy", label_policy, get_args(LabelPolicy))
        check_share("label_smoothing", label_smoothing)
        if criterion == "bce" and label_smoothing:
            raise UserError("`label_smoothing` belongs to `criterion=ce`: that of bce has a target per class")
        if label_policy == "lumix" and decoupled and criterion == "bce":
            raise UserError(
                "`label_policy=lumix` perturbs lam, which `mix=dm` with `criterion=bce` cuts off above xi: "
                "the "
                "perturbation would be lost where it matters. Use `criterion=ce` with lumix"
            )
        if target_threshold is not None:
            if not 0 <= target_threshold < 0.5:
                raise UserError(
                    f"target_threshold must lie in [0, 0.5), got {target_threshold}: of two classes one "
                    "is in the picture"
                )
            if criterion != "bce" or decoupled:
                raise UserError(
                    "`target_threshold` belongs to `criterion=bce` with `mix=mixup`: dm has a rescaling of "
                    "its own"
                )
        self.label_policy, self.threshold = label_policy, target_threshold
        self.criterion: DecoupledMixupLoss | DecoupledMixupBCELoss
        if criterion == "ce":
            self.criterion = DecoupledMixupLoss(mixing.eta * decoupled, label_smoothing=label_smoothing)
        elif not decoupled:
            self.criterion = DecoupledMixupBCELoss(t=1.0, xi=1.0 if target_threshold is None else 0.0)
        else:
            t, xi = (0.5, 1.0) if mixing.mixer in INTERPOLATING else (1.0, 0.8)
            self.criterion = DecoupledMixupBCELoss(t=t, xi=xi)

    def plain(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss (0-d) of plain images: logits (N, C), labels (N,)."""
        return self.criterion.forward(logits, MixedTarget.unmixed(labels))

    def __call__(
        self, logits: Tensor, target: MixedTarget | JointTarget, generator: torch.Generator
    ) -> Tensor:
        """The loss (0-d) of mixed images; the draws of LUMix come from ``generator``."""
        if isinstance(target, JointTarget):
            return self.criterion.forward(logits, target)
        if self.label_policy != "lumix":
            return self.criterion.forward(logits, target._replace(lam=self._counting(target.lam)))
        lam = lumix_lam(logits, *target, generator=generator)
        regularizer = lumix_regularizer(logits, target.labels_a, target.labels_b, lam)
        return self.criterion.forward(logits, target._replace(lam=self._counting(lam))) + regularizer

    def _counting(self, lam: Tensor) -> Tensor:
        """Shares of which those that are not above the threshold are 0."""
        if self.threshold is None:
            return lam
        return lam.masked_fill(lam <= self.threshold, 0).masked_fill(1 - lam <= self.threshold, 1)


MIXED_ALONE = {  # options of mixed images, with what they are where nothing is mixed
    "label_policy": "plain",
    "regularizer": "none",
    "mix_schedule": "constant",
    "mix_prob": 1.0,
    "stop_mixing": 0.0,
    "target_threshold": None,
}


def check_composition(mixing: MixingTerms, *, label_policy: str, **options: Any) -> None:
    """Raise with the reason where options for supervised training, those of ``MIXED_ALONE``, do not go
    together."""
    if mixing.asymmetric:
        raise UserError(
            f"`mix={mixing.mix}` mixes labeled into unlabeled images, and supervised training has none: "
            "use `mix=mixup` or `mix=dm`, or an algorithm with pseudo-labels such as fixmatch"
        )
    defaults = MixingTerms()
    for name in ("mix_weight", "mix_ramp", "mix_head", "mix_variant"):
        if getattr(mixing, name) != getattr(defaults, name):
            raise UserError(
                f"`{name}` concerns terms that are added to the loss; supervised training mixes the whole "
                "batch, so "
                "that there is nothing to add to: take fine-tuning for that"
            )
    if mixing.mix == "none":
        for name, value in {"label_policy": label_policy, **options}.items():
            if value != MIXED_ALONE[name]:
                raise UserError(
                    f"`{name}={value}` concerns mixed images, and `mix=none` mixes none: choose `mix=mixup` "
                    "or `mix=dm` too, with a `mixer`, cutmix for example"
                )
    of_pairs = {"label_policy": label_policy, **{n: options[n] for n in ("regularizer", "target_threshold")}}
    for name, value in of_pairs.items():
        if value != MIXED_ALONE[name] and getattr(MIXERS[mixing.mixer], "joint", False):
            raise UserError(
                f"`{name}={value}` is about pairs of images, and `mixer={mixing.mixer}` makes one of many: "
                "take puzzlemix"
            )
    if label_policy == "transmix" and mixing.mixer in NO_ATTENTION:
        raise UserError(
            f"`label_policy=transmix` does not go with `mixer={mixing.mixer}`: it "
            f"{NO_ATTENTION[mixing.mixer]}. Use "
            "cutmix"
        )


NO_ATTENTION = {
    **{
        name: "mixes hidden layers, so no patch belongs to one image"
        for name, mixer in MIXERS.items()
        if getattr(mixer, "hidden", False)
    },
    **dict.fromkeys(
        ("snapmix", "tokenmix"),
        "weighs labels by what is shown, as TransMix does",
    ),
    **dict.fromkeys(("stylemix", "stylecutmix"), "mixes styles, so every patch belongs to both images"),
    "mixup": "gives every patch the same share, so attention to patches changes nothing",
    "patchshuffle": "shuffles the patches, so the mask does not say whose they are",
}
