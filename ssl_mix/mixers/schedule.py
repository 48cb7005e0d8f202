"""Which batches of a run are mixed."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from ssl_mix.errors import check_choice, check_share
from ssl_mix.mixers._common import check_labels, check_pair, given_lam
from ssl_mix.mixers.hooks import check_net
from ssl_mix.mixers.mixer import Mixed, MixedBatch, Mixer, Pair, check_mixer
from ssl_mix.types import MixedTarget, Step


@dataclass(frozen=True)
class Unmixed(Mixer):
    """Images and labels as they are, in the form of mixed ones: lam is 1, the partner of an image is
    itself.

    Examples:
        >>> images, target = Unmixed()(torch.rand(2, 3, 8, 8), torch.tensor([4, 7]))
        >>> target
        MixedTarget(labels_a=tensor([4, 7]), labels_b=tensor([4, 7]), lam=tensor([1., 1.]))
    """

    axes: ClassVar[tuple[int, ...]] = ()

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """A copy of ``images_a``, whatever lam is asked for."""
        del generator
        images = pair.images_a
        if lam is not None:
            given_lam(lam, images)  # refused here as everywhere
        mask = images.new_ones((len(images), *[1] * (images.ndim - 1)), dtype=torch.bool)
        return Mixed(images.clone(), mask.flatten().float(), mask)

    def mix_batch(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> MixedBatch:
        """A copy of the images; nothing is drawn."""
        check_labels(images, labels)
        check_pair(images, images, self.axes)
        copy, lam, mask = self.blend(Pair(images, images, net=net), None, generator)
        partner = torch.arange(len(images), device=images.device)
        return MixedBatch(copy, MixedTarget(labels, labels.clone(), lam), partner, mask)


@dataclass(frozen=True)
class UnmixedLayers(Unmixed):
    """The same in the place of a mixer of hidden layers: called, it gives the network's logits in the place
    of images."""

    needs: ClassVar[frozenset[str]] = frozenset({"net"})
    hidden: ClassVar[bool] = True

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Logits of ``images_a``, whatever lam is asked for."""
        net = check_net(pair.net, self)
        return super().blend(pair, lam, generator)._replace(images=net(pair.images_a))

    @contextmanager
    def applied(
        self,
        net: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> Iterator[MixedBatch]:
        """Within the block, too, nothing is mixed; the mask is None, as for all mixers of hidden layers."""
        yield Unmixed().mix_batch(images, labels, net=net, generator=generator)._replace(mask=None)


Shape = Literal["constant", "linear", "cosine", "mwh"]
ALWAYS, ALTERNATING = 0.6, 0.9  # shares of the run at which the phases of Mixup without Hesitation end


@dataclass(frozen=True)
class MixingSchedule:
    """Which batches are mixed: a mixer or :class:`Unmixed`, by where training stands.

    ``schedule = MixingSchedule(CutMix(), stop=0.1)`` once, and in the loop ``images, target =
    schedule(Step(number, steps))(images, labels)``. A batch is mixed with the chance ``prob * s(t)``, where t
    goes from 0 to 1 until mixing stops: "constant" is 1, "linear" ``1 - t``, "cosine" ``(1 + cos(pi t)) /
    2``, and "mwh" 1 up to t = 0.6, 1 for every other batch up to 0.9, and from there ``(1 - t) / 0.1``. It
    keeps no count of its own, so that resumed training needs nothing restored; a chance of 0 or 1 draws
    nothing. In the place of a mixer of hidden layers comes one that returns logits too; the ``loss`` of a
    learned mixer is None where nothing is mixed.

    Args:
        mixer: of the batches that are mixed.
        shape: s, how the chance goes over the run.
        prob: chance of a batch to be mixed, in [0, 1].
        stop: share of the training steps, at the end, that are not mixed (timm's ``mixup_off_epoch``).

    Raises:
        ValueError: the mixer is none, the shape is unknown, or a share lies outside [0, 1].

    Source: the stop: Zou et al., "The Benefits of Mixup for Feature Learning" (ICML 2023); Liu et al.,
    "Over-Training with Mixup May Hurt Generalization" (ICLR 2023). "mwh": Yu et al., "Mixup Without
    Hesitation" (ICIG 2021), Algorithm 1, p = 0.6 and q = 0.9.

    Examples:
        >>> from ssl_mix import Step
        >>> schedule = MixingSchedule(CutMix(), stop=0.1)
        >>> schedule(Step(50, 100)), schedule(Step(95, 100))
        (CutMix(alpha=1.0), Unmixed())
        >>> MixingSchedule(CutMix(), "linear").chance(Step(25, 100))
        0.75
    """

    mixer: Mixer
    shape: Shape = "constant"
    prob: float = 1.0
    stop: float = 0.0

    def __post_init__(self) -> None:
        check_mixer(self.mixer)
        check_choice("shape", self.shape, get_args(Shape))
        check_share("prob", self.prob)
        check_share("stop", self.stop)

    def chance(self, step: Step) -> float:
        """The chance of the batch of this step to be mixed."""
        check_share("the progress of the step", step.progress)
        if step.progress >= 1 - self.stop - 1e-9:  # for a computer, 43 / 100 is below 1 - 0.57
            return 0.0
        t = step.progress / (1 - self.stop)
        if self.shape == "constant":
            return self.prob
        if self.shape == "linear":
            return self.prob * (1 - t)
        if self.shape == "cosine":
            return self.prob * (1 + math.cos(math.pi * t)) / 2
        if t >= ALTERNATING:
            return self.prob * (1 - t) / (1 - ALTERNATING)
        return self.prob if t < ALWAYS or step.number % 2 == 0 else 0.0

    def __call__(self, step: Step) -> Mixer:
        """The mixer of the batch of this step; ``step.generator`` decides what the chance leaves open."""
        chance = self.chance(step)
        if chance >= 1 or (chance > 0 and torch.rand((), generator=step.generator).item() < chance):
            return self.mixer
        return UnmixedLayers() if self.mixer.hidden else Unmixed()
