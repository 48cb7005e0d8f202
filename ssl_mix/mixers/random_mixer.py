"""One of several mixers, drawn per picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_positive, check_share
from ssl_mix.mixers._common import given_lam
from ssl_mix.mixers.mixer import Mixed, Mixer, Pair
from ssl_mix.mixers.stop_after import Unmixed


@dataclass(frozen=True)
class RandomMixer(Mixer):
    """Mix each picture by one of several mixers, drawn for it alone, or not at all.

    ``RandomMixer({Mixup(0.8): 1, CutMix(1.0): 1}, prob=0.9)``. The pictures that got the same mixer are mixed together, in one
    call, and put back in their places. A picture that is not mixed keeps its pixels and has lam 1, also where lam is given.
    Which mixer a picture gets is drawn on the CPU, so that with a CPU generator, or none, no step waits for the device.

    Args:
        mixers: the mixers with their chances relative to each other, or a sequence of mixers with equal chances.
        prob: chance of a picture to be mixed.

    Raises:
        ValueError: there is no mixer, a chance is not above 0, prob lies outside [0, 1], or a mixer mixes hidden layers, learns
            or is no mixer; while mixing, whatever a drawn mixer raises.

    Differs from timm, which draws one of two mixers and one lam for the whole batch.
    """

    mixers: Mapping[Mixer, float] | Sequence[Mixer] = field(hash=False)
    prob: float = 1.0

    def __post_init__(self) -> None:
        check_share("prob", self.prob)
        given = self.mixers
        chances = dict(given) if isinstance(given, Mapping) else dict.fromkeys(given, 1.0)
        if not chances:
            raise UserError("mixers must name at least one mixer, got none")
        for mixer, chance in chances.items():
            _check_choosable(mixer)
            check_positive(f"the chance of {mixer}", chance)
        object.__setattr__(self, "mixers", chances)
        object.__setattr__(self, "needs", frozenset().union(*(mixer.needs for mixer in chances)))

    def prepare(self, net: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Prepare every mixer."""
        for mixer in self.mixers:
            mixer.prepare(net, image_shape)

    def saliency(self, images: Tensor, labels: Tensor, net: nn.Module | None) -> Tensor | None:
        """Importance of the pixels as each mixer sees it, (N, mixers + 1, H, W); zero where one has none, and for no mixing."""
        maps = [mixer.saliency(images, labels, net) for mixer in (*self.mixers, Unmixed())]
        found = [one for one in maps if one is not None]
        if not found:
            return None
        return torch.stack([torch.zeros_like(found[0]) if one is None else one for one in maps], 1)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Mix each group of samples by its mixer."""
        images = pair.images_a
        lam = None if lam is None else given_lam(lam, images)
        mixers = (*self.mixers, Unmixed())
        choice = self._draw(len(images), generator)
        order = choice.argsort(stable=True)
        sizes = choice.bincount(minlength=len(mixers)).tolist()
        groups = torch.split_with_sizes(order.to(images.device, non_blocking=True), sizes)
        parts = [
            mixer.blend(
                _rows(pair, rows, number), None if lam is None else lam.index_select(0, rows), generator
            )
            for number, (mixer, rows) in enumerate(zip(mixers, groups, strict=True))
            if len(rows) > 0
        ]
        back = order.argsort().to(images.device, non_blocking=True)
        masks = [part.mask.expand(-1, 1, *images.shape[2:]) for part in parts]
        mixed, share, mask = (
            torch.cat(tensors).index_select(0, back)
            for tensors in ([part.images for part in parts], [part.lam for part in parts], masks)
        )
        return Mixed(mixed, share, mask)

    def _draw(self, count: int, generator: torch.Generator | None) -> Tensor:
        """Number of the mixer of each sample, (count,) int64 on the CPU; the number after the last for no mixing."""
        assert isinstance(self.mixers, dict)
        total = sum(self.mixers.values())
        limits = torch.tensor([self.prob * upto / total for upto in accumulate(self.mixers.values())])
        source = generator.device if generator is not None else "cpu"
        draws = torch.rand(count, generator=generator, device=source).cpu()
        return torch.bucketize(draws, limits, right=True)


def _check_choosable(mixer: object) -> None:
    if not isinstance(mixer, Mixer):
        raise UserError(f"mixers must be mixers such as CutMix(), got {mixer!r}")
    name = type(mixer).__name__
    if getattr(mixer, "hidden", False):
        raise UserError(f"{name} mixes hidden layers of the whole batch: it cannot be drawn per picture")
    if isinstance(mixer, nn.Module):
        raise UserError(f"{name} learns from a loss over the whole batch: it cannot be drawn per picture")


def _rows(pair: Pair, chosen: Tensor, number: int) -> Pair:
    """The chosen samples of a pair, with the saliency that mixer ``number`` sees where each mixer has its own."""
    images_a, images_b = (images.index_select(0, chosen) for images in (pair.images_a, pair.images_b))
    saliency_a, saliency_b = (
        None if given is None else (given if given.ndim == 3 else given[:, number]).index_select(0, chosen)
        for given in (pair.saliency_a, pair.saliency_b)
    )
    return Pair(images_a, images_b, saliency_a, saliency_b, pair.net)
