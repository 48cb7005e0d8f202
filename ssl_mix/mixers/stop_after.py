"""No mixing in the last part of training."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ssl_mix.errors import check_share
from ssl_mix.mixers._common import check_labels, check_pair, given_lam
from ssl_mix.mixers.hooks import check_net
from ssl_mix.mixers.mixer import Mixed, MixedBatch, Mixer, Pair, check_mixer
from ssl_mix.types import MixedTarget


@dataclass(frozen=True)
class Unmixed(Mixer):
    """Images and labels as they are, in the form of mixed ones: lam is 1, the partner of an image is
    itself.

    Examples:
        >>> images, target = Unmixed()(torch.rand(2, 3, 8, 8), torch.tensor([4, 7]))
        >>> target
        MixedTarget(labels_a=tensor([4, 7]), labels_b=tensor([4, 7]), lam=tensor([1., 1.]))
    """

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """A copy of ``images_a``, whatever lam is asked for."""
        del generator
        images = pair.images_a
        if lam is not None:
            given_lam(lam, images)  # refused here as everywhere
        mask = torch.ones(len(images), 1, 1, 1, dtype=torch.bool, device=images.device)
        return Mixed(images.clone(), mask[:, 0, 0, 0].float(), mask)

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


@dataclass(frozen=True)
class StopAfter:
    """Early stopping of mixing: any mixer until the last ``fraction`` of training, :class:`Unmixed` from then
    on.

    ``stop = StopAfter(CutMix())`` once, and in the loop ``images, target = stop(step / steps)(images,
    labels)``. It keeps no count of its own, so that resumed training needs nothing restored. In the place of
    a mixer of hidden layers comes one that returns logits too; the ``loss`` of a learned mixer is None once
    it has stopped.

    Args:
        mixer: of the time before.
        fraction: of the training steps, at the end, that are not mixed.

    Raises:
        ValueError: the mixer is none; the fraction, or the progress when called, lies outside [0, 1].

    Source: Zou et al., "The Benefits of Mixup for Feature Learning" (ICML 2023); Liu et al., "Over-Training
    with Mixup May Hurt Generalization" (ICLR 2023).

    Examples:
        >>> stop = StopAfter(CutMix(), fraction=0.1)
        >>> stop(0.5), stop(0.95)  # the mixer for 50 % and for 95 % of the run
        (CutMix(alpha=1.0), Unmixed())
    """

    mixer: Mixer
    fraction: float = 0.1

    def __post_init__(self) -> None:
        check_mixer(self.mixer)
        check_share("fraction", self.fraction)

    def over(self, progress: float) -> bool:
        """Whether mixing has stopped where ``progress`` is the share of the training steps that is done, 0 in
        the first step."""
        check_share("progress", progress)
        return progress >= 1 - self.fraction - 1e-9  # for a computer, 43 / 100 is below 1 - 0.57

    def __call__(self, progress: float) -> Mixer:
        """The mixer to use at this progress."""
        if not self.over(progress):
            return self.mixer
        return UnmixedLayers() if self.mixer.hidden else Unmixed()
