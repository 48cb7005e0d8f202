"""How mixers, label policies, losses and regularizers go together: the loss of mixed images, and what is
refused."""

from typing import Literal, get_args

import torch
from torch import Tensor

from ssl_mix.errors import UserError, check_choice, check_share
from ssl_mix.losses import (
    DecoupledMixupBCELoss,
    DecoupledMixupLoss,
    lumix_lam,
    lumix_regularizer,
)
from ssl_mix.types import MixedTarget

Loss = Literal["ce", "dm-ce", "bce", "dm-bce"]
LabelPolicy = Literal["plain", "lumix", "transmix"]


class MixingLoss:
    """Cross-entropy or binary cross-entropy of mixed images, with the choices of the papers.

    Args:
        loss: "ce", "dm-ce", "bce" or "dm-bce"; dm: with decoupled mixup.
        label_policy: "lumix" perturbs lam and adds LUMix's regularizer; "plain" and "transmix" take lam as it
            comes.
        eta: weight of the decoupled term of "dm-ce".
        eta_power: see :func:`ssl_mix.losses.decoupled_mixup_cross_entropy`.
        label_smoothing: of the cross-entropy, as in ``torch.nn.CrossEntropyLoss``.
        interpolates: whether the mixer blends images everywhere; "dm-bce" rescales lam by t = 0.5, xi = 1
            then, and by t = 1, xi = 0.8 where regions are cut, as in the paper.

    Raises:
        ValueError: an option is unknown, or does not fit another.
    """

    def __init__(
        self,
        loss: Loss = "ce",
        label_policy: LabelPolicy = "plain",
        *,
        eta: float = 0.1,
        eta_power: float = 0.0,
        label_smoothing: float = 0.0,
        interpolates: bool = False,
    ) -> None:
        check_choice("loss", loss, get_args(Loss))
        check_choice("label_policy", label_policy, get_args(LabelPolicy))
        check_share("label_smoothing", label_smoothing)
        if loss in ("bce", "dm-bce") and label_smoothing:
            raise UserError(
                f"label_smoothing belongs to the losses ce and dm-ce; loss={loss!r} has a target per class"
            )
        if label_policy == "lumix" and loss == "dm-bce":
            raise UserError(
                "label_policy='lumix' perturbs lam, loss='dm-bce' cuts it off above xi: the perturbation "
                "would be "
                "lost where it matters. Use loss='ce' or 'dm-ce' with lumix"
            )
        self.label_policy = label_policy
        self.criterion: DecoupledMixupLoss | DecoupledMixupBCELoss
        if loss in ("ce", "dm-ce"):
            self.criterion = DecoupledMixupLoss(
                eta if loss == "dm-ce" else 0.0, eta_power=eta_power, label_smoothing=label_smoothing
            )
        elif loss == "bce":
            self.criterion = DecoupledMixupBCELoss(t=1.0, xi=1.0)
        else:
            t, xi = (0.5, 1.0) if interpolates else (1.0, 0.8)
            self.criterion = DecoupledMixupBCELoss(t=t, xi=xi)

    def plain(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss (0-d) of plain images: logits (N, C), labels (N,)."""
        return self.criterion.forward(logits, MixedTarget.unmixed(labels))

    def __call__(self, logits: Tensor, target: MixedTarget, generator: torch.Generator) -> Tensor:
        """The loss (0-d) of mixed images; the draws of LUMix come from ``generator``."""
        if self.label_policy != "lumix":
            return self.criterion.forward(logits, target)
        lam = lumix_lam(logits, *target, generator=generator)
        regularizer = lumix_regularizer(logits, target.labels_a, target.labels_b, lam)
        return self.criterion.forward(logits, target._replace(lam=lam)) + regularizer


def check_composition(
    *,
    mixer: str,
    loss: str,
    label_policy: str,
    regularizer: str,
    stop_mixing: float,
    alpha: float | None,
    mix: str,
) -> None:
    """Raise with the reason where options for supervised training do not go together."""
    if mix in ("as", "dm-as"):
        raise UserError(
            f"mix={mix!r} mixes labeled into unlabeled images, and supervised training has none: "
            "use mix='mixup' or 'dm', or an algorithm with pseudo-labels such as fixmatch"
        )
    if mix != "none" and loss in ("bce", "dm-bce"):
        raise UserError(
            f"mix={mix!r} adds a cross-entropy, which does not add up with loss={loss!r}: use ce or dm-ce"
        )
    if mixer == "none":
        for option, given in (
            (f"loss={loss!r}", loss.startswith("dm-")),
            (f"label_policy={label_policy!r}", label_policy != "plain"),
            (f"regularizer={regularizer!r}", regularizer != "none"),
            (f"stop_mixing={stop_mixing}", stop_mixing > 0 and mix == "none"),
            (f"alpha={alpha}", alpha is not None),
        ):
            if given:
                raise UserError(
                    f"{option} concerns mixed images, and mixer='none' mixes none: choose a mixer too, "
                    "cutmix for example"
                )
    reasons = {
        "manifoldmix": "mixes hidden layers, so no patch belongs to one image",
        "mixup": "gives every patch the same share, so attention to patches changes nothing",
        "patchshuffle": "shuffles the patches, so the mask does not say whose they are",
    }
    if label_policy == "transmix" and mixer in reasons:
        raise UserError(
            f"label_policy='transmix' does not go with mixer={mixer!r}: it {reasons[mixer]}. Use cutmix"
        )
