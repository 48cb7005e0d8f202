"""Supervised training on the labelled pictures alone, plain or with a mixer."""

from typing import Literal

import torch.nn.functional as F

from ssl_mix.algorithm import Algorithm
from ssl_mix.asymmetric import AsymmetricMix
from ssl_mix.errors import UserError, check_choice
from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.mixers import MIXERS, build_mixer
from ssl_mix.types import Batch, Nets, Step, StepOutput


class Supervised(Algorithm):
    """Cross-entropy on the labelled pictures alone, plain or mixed.

    The bound that few-label methods are held against.

    With a mixer the whole batch is mixed and trained with ``MCE``, or with ``MCE + eta * D`` for ``loss="dm-ce"``. The terms of
    ``mixing`` are added to that; they are the same as for other algorithms, so that a comparison differs in one thing.

    Args:
        mixer: "none", "mixup" or "cutmix": what the labelled batch is mixed with.
        alpha: lam ~ Beta(alpha, alpha) of that mixer.
        loss: "ce", or "dm-ce" with the decoupled term weighted by ``mixing.eta``; needs a mixer.
        mixing: mixing terms added to the loss ("mixup" or "dm"; "as" needs an algorithm that guesses labels).

    Raises:
        ValueError: an option is unknown, or does not fit the others.
    """

    def __init__(
        self,
        *,
        mixer: Literal["none", "mixup", "cutmix"] = "none",
        alpha: float = 1.0,
        loss: Literal["ce", "dm-ce"] = "ce",
        mixing: AsymmetricMix = AsymmetricMix(),  # noqa: B008 (frozen)
    ) -> None:
        super().__init__()
        check_choice("mixer", mixer, ("none", *MIXERS))
        check_choice("loss", loss, ("ce", "dm-ce"))
        if loss == "dm-ce" and mixer == "none":
            raise UserError(
                "loss 'dm-ce' separates two mixed classes: choose a mixer too (mixer='mixup' or 'cutmix')"
            )
        if mixing.mix in ("as", "dm-as"):
            raise UserError(
                f"mix={mixing.mix!r} mixes labelled into unlabelled pictures, and supervised training has none: "
                "use mix='mixup' or 'dm', or an algorithm with pseudo-labels such as fixmatch"
            )
        self.mixer, self.alpha, self.loss, self.mixing = mixer, alpha, loss, mixing
        self._mix = None if mixer == "none" else build_mixer(mixer, alpha)

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        """Cross-entropy on one labelled batch, mixed first if so chosen."""
        assert batch.labeled.target is not None
        x, labels = batch.labeled.views["weak"], batch.labeled.target
        if self._mix is None:
            supervised = F.cross_entropy(nets.student(x).float(), labels)
        else:
            mixed_x, target = self._mix(x, labels, generator=step.generator)
            eta = self.mixing.eta if self.loss == "dm-ce" else 0.0
            criterion = DecoupledMixupLoss(eta, eta_power=self.mixing.eta_power)
            supervised = criterion(nets.student(mixed_x), target)
        mixed, terms = self.mixing(nets.student, x, labels, step)
        return StepOutput(supervised + mixed, {"loss/labeled": supervised.detach(), **terms}, {})
