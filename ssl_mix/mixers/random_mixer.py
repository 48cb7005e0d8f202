"""One of several mixers, drawn per image."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError, check_positive, check_share
from ssl_mix.mixers._common import given_lam, pair_up, reordered
from ssl_mix.mixers.mixer import Mixed, MixedBatch, Mixer, Pair, check_mixer, with_saliency
from ssl_mix.mixers.schedule import Unmixed
from ssl_mix.types import MixedTarget


@dataclass(frozen=True)
class RandomMixer(Mixer):
    """Mix each image by one of several mixers, drawn for it alone, or not at all.

    ``RandomMixer({Mixup(0.8): 1, CutMix(1.0): 1}, prob=0.9)``. The images that got the same mixer are mixed
    together, in one call, and put back in their places. An image that is not mixed keeps its pixels and has
    lam 1, also where lam is given. Which mixer an image gets is drawn on the CPU, so that with a CPU
    generator, or none, no step waits for the device; the importance of pixels is computed only for mixers
    that are drawn.

    Args:
        mixers: the mixers with their chances relative to each other, or a sequence of mixers with equal
            chances. Chances of equal mixers add up; in the place of another RandomMixer come its mixers.
        prob: chance of an image to be mixed.

    Raises:
        ValueError: there is no mixer, a chance is not above 0, prob lies outside [0, 1], or a mixer mixes
            hidden layers or the batch together, learns or is no mixer; while mixing, whatever a drawn mixer
            raises.

    Differs from timm, which draws one of two mixers and one lam for the whole batch.

    Examples:
        >>> mixer = RandomMixer({Mixup(alpha=0.8): 1, CutMix(alpha=1.0): 3}, prob=1.0)
        >>> list(mixer.shares().values())  # of Mixup, CutMix, and images left as they are
        [0.25, 0.75, 0.0]
    """

    mixers: Mapping[Mixer, float] | Sequence[Mixer] = field(hash=False)
    prob: float = 1.0

    def __post_init__(self) -> None:
        check_share("prob", self.prob)
        chances = _chances(self.mixers)
        object.__setattr__(self, "mixers", chances)
        object.__setattr__(self, "needs", frozenset().union(*(mixer.needs for mixer in chances)))

    def shares(self) -> dict[Mixer, float]:
        """Chance of each mixer, and of no mixing; together they are 1."""
        assert isinstance(self.mixers, dict)
        total = sum(self.mixers.values())
        shares = {mixer: self.prob * chance / total for mixer, chance in self.mixers.items()}
        shares[Unmixed()] = shares.get(Unmixed(), 0.0) + 1 - self.prob
        return shares

    def prepare(self, net: nn.Module, image_shape: tuple[int, int, int]) -> None:
        """Prepare every mixer."""
        for mixer in self.mixers:
            mixer.prepare(net, image_shape)

    def blend(self, pair: Pair, lam: Tensor | float | None, generator: torch.Generator | None) -> Mixed:
        """Mix each group of samples by its mixer."""
        lam = None if lam is None else given_lam(lam, pair.images_a)
        return self._in_groups(pair.images_a, lam, generator, lambda _: pair)

    def mix_batch(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        net: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ) -> MixedBatch:
        """The same as calling the mixer, with partners and masks."""
        partner, labels_a, labels_b = pair_up(images, labels, generator)
        pair = Pair(images, reordered(images, partner), net=net)
        mixed, lam, mask = self._in_groups(
            images, None, generator, lambda mixer: with_saliency(pair, mixer, labels_a, partner)
        )
        return MixedBatch(mixed, MixedTarget(labels_a, labels_b, lam), partner, mask)

    def _in_groups(
        self,
        images: Tensor,
        lam: Tensor | None,
        generator: torch.Generator | None,
        pair_for: Callable[[Mixer], Pair],
    ) -> Mixed:
        """Draw a mixer for each image, and let each mix its own images of the pair that is made for it."""
        shares = self.shares()
        choice = _draw(list(shares.values()), len(images), generator)
        order = choice.argsort(stable=True)
        sizes = choice.bincount(minlength=len(shares)).tolist()
        groups = torch.split_with_sizes(order.to(images.device, non_blocking=True), sizes)
        parts = [
            mixer.blend(
                _rows(pair_for(mixer), rows), None if lam is None else lam.index_select(0, rows), generator
            )
            for mixer, rows in zip(shares, groups, strict=True)
            if len(rows) > 0
        ]
        back = order.argsort().to(images.device, non_blocking=True)
        masks = [part.mask.expand(-1, 1, *images.shape[2:]) for part in parts]
        share, mask = (
            torch.cat(tensors).index_select(0, back) for tensors in ([part.lam for part in parts], masks)
        )
        return Mixed(reordered(torch.cat([part.images for part in parts]), back), share, mask)


def _draw(shares: Sequence[float], count: int, generator: torch.Generator | None) -> Tensor:
    """Numbers drawn with these chances, which add up to 1: (count,) int64 on the CPU."""
    limits = torch.tensor(list(accumulate(shares))[:-1])
    source = generator.device if generator is not None else "cpu"
    draws = torch.rand(count, generator=generator, device=source).cpu()
    return torch.bucketize(draws, limits, right=True)


def _chances(mixers: Mapping[Mixer, float] | Sequence[Mixer]) -> dict[Mixer, float]:
    """Chance of each mixer relative to the others, none of them a RandomMixer."""
    if not isinstance(mixers, Mapping | Sequence) or not mixers:
        raise UserError(f"mixers must be a sequence or mapping of at least one mixer, got {mixers!r}")
    given = mixers.items() if isinstance(mixers, Mapping) else [(mixer, 1.0) for mixer in mixers]
    chances: dict[Mixer, float] = {}
    for mixer, chance in given:
        _check_choosable(mixer)
        check_positive(f"the chance of {mixer}", chance)
        for one, share in (mixer.shares() if isinstance(mixer, RandomMixer) else {mixer: 1.0}).items():
            chances[one] = chances.get(one, 0.0) + chance * share
    return chances


def _check_choosable(mixer: object) -> None:
    check_mixer(mixer)
    name = type(mixer).__name__
    if getattr(mixer, "hidden", False):
        raise UserError(f"{name} mixes hidden layers of the whole batch: it cannot be drawn per image")
    if getattr(mixer, "joint", False):
        raise UserError(f"{name} mixes the whole batch together: it cannot be drawn per image")
    if isinstance(mixer, nn.Module):
        raise UserError(f"{name} learns from a loss over the whole batch: it cannot be drawn per image")


def _rows(pair: Pair, chosen: Tensor) -> Pair:
    """The chosen samples of a pair."""
    images_a, images_b = (reordered(images, chosen) for images in (pair.images_a, pair.images_b))
    saliency_a, saliency_b = (
        None if given is None else given.index_select(0, chosen)
        for given in (pair.saliency_a, pair.saliency_b)
    )
    return Pair(images_a, images_b, saliency_a, saliency_b, pair.net)
