"""RandomMixer: a mixer per image, each group mixed by its own and put back in place."""

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers import CoMixup, CutMix, FMix, Mixed, Mixer, Mixup, RandomMixer, Unmixed
from ssl_mix.mixers.mixer import Pair


@dataclass(frozen=True)
class Tag(Mixer):
    """Adds a number to the base image, and remembers what it was asked."""

    number: float
    seen: list[Any]

    def __hash__(self) -> int:
        return hash(self.number)

    def blend(self, pair: Pair, lam: Tensor | None, generator: torch.Generator | None) -> Mixed:
        """The tagged images."""
        self.seen.append((pair, lam, generator))
        share = torch.full((len(pair.images_a),), self.number / 1000)
        return Mixed(pair.images_a + self.number, share, share[:, None, None, None])


class Sees(Tag):
    """The same with an importance of the pixels that it computes itself."""

    needs: ClassVar[frozenset[str]] = frozenset({"saliency"})

    def saliency(self, images: Tensor, labels: Tensor, net: None) -> Tensor:
        """As many as the label, times the number."""
        return labels[:, None, None] * torch.ones(images.shape[2:]) * self.number


class Asks(Tag):
    """The same with a network."""

    needs: ClassVar[frozenset[str]] = frozenset({"net"})


class Hidden(Tag):
    """Mixes hidden layers."""

    hidden: ClassVar[bool] = True


class Learned(nn.Module, Mixer):
    """Has weights."""

    def blend(self, pair: Any, lam: Any, generator: Any) -> None:
        """Nothing."""


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(samples: int) -> Tensor:
    """Images of which sample k is constant k."""
    return torch.arange(float(samples))[:, None, None, None].expand(samples, 2, 4, 6)


def test_every_picture_is_mixed_by_one_mixer_and_stays_in_its_place() -> None:
    mixer = RandomMixer([Tag(100, []), Tag(200, []), Tag(300, [])], prob=0.7)
    mixed, share = mixer.mix(numbered(50), numbered(50), generator=generator())
    tag = ((mixed[:, 0, 0, 0] / 100).floor() * 100).round()
    assert torch.equal(mixed, numbered(50) + tag[:, None, None, None])
    assert set(tag.tolist()) == {0, 100, 200, 300}
    assert torch.equal(share, torch.where(tag == 0, 1, tag / 1000))


def test_a_mixer_is_called_once_for_its_pictures_with_their_partners_and_lam() -> None:
    mixers = [Tag(100, []), Tag(200, [])]
    lam, stream = torch.rand(40, generator=generator(5)), generator()
    mixed, _ = RandomMixer(mixers, prob=0.8).mix(numbered(40), numbered(40) + 0.5, lam=lam, generator=stream)
    for mixer in mixers:
        ((pair, asked, source),) = mixer.seen
        chosen = ((mixed[:, 0, 0, 0] - torch.arange(40)) == mixer.number).nonzero()[:, 0]
        assert torch.equal(pair.images_a, numbered(40)[chosen])
        assert torch.equal(pair.images_b, numbered(40)[chosen] + 0.5)
        assert torch.equal(asked, lam[chosen])
        assert source is stream


def test_one_number_for_lam_is_passed_on() -> None:
    tag = Tag(100, [])
    RandomMixer([tag]).mix(numbered(3), numbered(3), lam=0.25)
    assert torch.equal(tag.seen[0][1], torch.full((3,), 0.25))


@pytest.mark.parametrize("lam", [torch.zeros(2), torch.zeros(5), torch.zeros(3, 1), 1.5])
def test_lam(lam: Tensor) -> None:
    with pytest.raises(UserError, match="lam"):
        RandomMixer([Mixup(), CutMix()]).mix(numbered(3), numbered(3), lam=lam)


def test_mixers_come_with_their_chances() -> None:
    mixer = RandomMixer({Tag(100, []): 1, Tag(200, []): 3}, prob=0.6)
    images = torch.zeros(4000, 1, 1, 1)
    mixed, _ = mixer.mix(images, images, generator=generator())
    counts = [(mixed == tag).sum().item() for tag in (0, 100, 200)]
    assert stats.chisquare(counts, [1600, 600, 1800]).pvalue > 0.01
    places = [
        ((mixed[:-1] == one) & (mixed[1:] == other)).sum().item() for one in (0, 200) for other in (0, 200)
    ]
    expected = [3999 * p * q for p in (0.4, 0.45) for q in (0.4, 0.45)]
    assert all(abs(n - e) < 4 * e**0.5 for n, e in zip(places, expected, strict=True))


@pytest.mark.parametrize(("prob", "tags"), [(0.0, {0}), (1.0, {100})])
def test_never_and_always(prob: float, tags: set[int]) -> None:
    images = torch.zeros(3000, 1, 1, 1)
    mixed, share = RandomMixer([Tag(100, [])], prob).mix(images, images, generator=generator())
    assert set(mixed.flatten().tolist()) == tags
    assert torch.equal(share, torch.full((3000,), 1.0 if prob == 0 else 0.1))


def test_an_unmixed_picture_keeps_its_pixels_and_has_lam_one() -> None:
    images = torch.rand(60, 3, 8, 8, generator=generator(1))
    mixer = RandomMixer([Mixup(), CutMix()], prob=0.5)
    batch = mixer.mix_batch(images, torch.arange(60), generator=generator())
    unmixed = (batch.images == images).flatten(1).all(1) & (batch.partner != torch.arange(60))
    assert 15 < unmixed.sum() < 45
    assert (batch.target.lam[unmixed] == 1).all()
    assert (batch.mask[unmixed] == 1).all()


@pytest.mark.parametrize(
    ("mixers", "dtype"), [([CutMix(), FMix()], torch.bool), ([CutMix(), Mixup()], torch.float32)]
)
def test_masks_are_put_together(mixers: list[Any], dtype: torch.dtype) -> None:
    images = torch.rand(30, 3, 8, 12, generator=generator(1))
    batch = RandomMixer(mixers, prob=0.8).mix_batch(images, torch.arange(30), generator=generator())
    assert (batch.mask.dtype, batch.mask.shape) == (dtype, (30, 1, 8, 12))
    mask = batch.mask.float()
    torch.testing.assert_close(batch.images, mask * images + (1 - mask) * images[batch.partner])


def test_each_mixer_sees_the_importance_that_it_computes_itself() -> None:
    one, two, none = Sees(100, []), Sees(200, []), Tag(300, [])
    mixer = RandomMixer([one, none, two], prob=0.9)
    labels = torch.arange(40)
    batch = mixer.mix_batch(numbered(40), labels, generator=generator())
    for sees in (one, two):
        ((pair, _, _),) = sees.seen
        own, partner = (images[:, 0] for images in (pair.images_a, pair.images_b))
        assert torch.equal(pair.saliency_a, own * sees.number)
        assert torch.equal(pair.saliency_b, partner * sees.number)
    assert batch.images.shape == (40, 2, 4, 6)


class Counts(Asks):
    """Sees pixels through the network, and remembers only that."""

    def saliency(self, images: Tensor, labels: Tensor, net: nn.Identity) -> Tensor:
        """The first color of what the network makes of the images."""
        self.seen.append("saliency")
        return net(images)[:, 0]

    def blend(self, pair: Pair, lam: None, generator: torch.Generator) -> Mixed:
        """The base image as it is."""
        self.seen.append("blend")
        return Unmixed().blend(pair, lam, generator)


def test_importance_is_computed_only_for_a_mixer_that_is_drawn() -> None:
    counts = Counts(100, [])
    mixer = RandomMixer({counts: 1, Mixup(): 9})
    stream = generator()
    for _ in range(40):
        mixer(numbered(2), torch.arange(2), net=nn.Identity(), generator=stream)
    drawn = counts.seen.count("blend")
    assert 0 < drawn < 20
    assert counts.seen == ["saliency", "blend"] * drawn
    never = RandomMixer([Sees(100, []), counts], prob=0.0)
    assert torch.equal(never(numbered(2), torch.arange(2))[0], numbered(2))


@pytest.mark.parametrize("depth", [1, 2])
def test_nested_mixers_see_the_importance_that_they_compute_themselves(depth: int) -> None:
    one, two, none = Sees(100, []), Sees(200, []), Tag(300, [])
    inner = RandomMixer([one, none])
    for _ in range(depth - 1):
        inner = RandomMixer([inner])
    labels = torch.arange(40)
    batch = RandomMixer([inner, two]).mix_batch(numbered(40), labels, generator=generator())
    for sees in (one, two):
        ((pair, _, _),) = sees.seen
        assert torch.equal(pair.saliency_a, pair.images_a[:, 0] * sees.number)
        assert torch.equal(pair.saliency_b, pair.images_b[:, 0] * sees.number)
    tag = batch.images[:, 0, 0, 0] - labels
    assert set(tag.tolist()) == {100, 200, 300}


def test_chances_of_nested_mixers_multiply() -> None:
    inner = RandomMixer({Tag(100, []): 1, Tag(200, []): 3}, prob=0.5)
    mixer = RandomMixer({inner: 2, Tag(200, []): 1}, prob=0.75)
    images = torch.zeros(4000, 1, 1, 1)
    mixed, _ = mixer.mix(images, images, generator=generator())
    counts = [(mixed == tag).sum().item() for tag in (0, 100, 200)]
    assert stats.chisquare(counts, [2000, 250, 1750]).pvalue > 0.01


def test_a_mixer_that_is_listed_twice_comes_twice_as_often() -> None:
    images = torch.zeros(4000, 1, 1, 1)
    twice = RandomMixer([Tag(100, []), Tag(200, []), Tag(100, [])])
    mixed, _ = twice.mix(images, images, generator=generator())
    counts = [(mixed == tag).sum().item() for tag in (100, 200)]
    assert stats.chisquare(counts, [4000 * 2 / 3, 4000 / 3]).pvalue > 0.01
    assert RandomMixer([Mixup(), CutMix(), Mixup()]) == RandomMixer({Mixup(): 2, CutMix(): 1})


def test_given_importance_and_network_are_passed_on() -> None:
    tag, net = Sees(100, []), nn.Identity()
    given = [torch.rand(4, 4, 6), torch.rand(4, 4, 6)]
    RandomMixer([tag]).mix(numbered(4), numbered(4), saliency_a=given[0], saliency_b=given[1], net=net)
    ((pair, _, _),) = tag.seen
    assert torch.equal(pair.saliency_a, given[0])
    assert torch.equal(pair.saliency_b, given[1])
    assert pair.net is net


def test_it_needs_what_its_mixers_need() -> None:
    assert RandomMixer([Mixup()]).needs == frozenset()
    assert RandomMixer([Sees(1, []), Asks(2, []), Mixup()]).needs == {"saliency", "net"}


def test_it_is_a_mixer_like_any_other() -> None:
    inner = RandomMixer({Mixup(0.3): 1, CutMix(): 2}, prob=0.5)
    assert (
        inner
        == RandomMixer({Mixup(0.3): 1, CutMix(): 2}, prob=0.5)
        != RandomMixer([Mixup(0.3), CutMix()], 0.5)
    )
    images = torch.rand(20, 3, 8, 8, generator=generator(1))
    mixed, share = RandomMixer({inner: 1, FMix(): 1}).mix(images, images.flip(0), generator=generator())
    assert mixed.shape == images.shape
    assert len(share.unique()) > 5


def test_the_mapping_that_was_given_may_change_later() -> None:
    given = {Mixup(): 1.0}
    mixer = RandomMixer(given)
    given[CutMix()] = 1.0
    assert list(mixer.mixers) == [Mixup()]


def test_mixers_of_hidden_layers_are_refused() -> None:
    with pytest.raises(UserError, match="Hidden mixes hidden layers"):
        RandomMixer([Mixup(), Hidden(1, [])])


def test_mixers_of_a_whole_batch_are_refused() -> None:
    with pytest.raises(UserError, match="CoMixup mixes the whole batch"):
        RandomMixer([Mixup(), CoMixup()])


def test_mixers_that_learn_are_refused() -> None:
    with pytest.raises(UserError, match="Learned learns"):
        RandomMixer([Mixup(), Learned()])


@pytest.mark.parametrize(
    ("mixers", "message"),
    [
        ([], "at least one"),
        (["mixup"], "mixup"),
        ([Mixup], "Mixup"),
        (Mixup(), "sequence"),
        (None, "sequence"),
        ([[1]], "mixer"),
        ({Mixup(): 0}, "chance"),
        ({Mixup(): -1}, "chance"),
    ],
)
def test_mixers(mixers: list[Any] | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        RandomMixer(mixers)


@pytest.mark.parametrize("prob", [-0.1, 1.1, float("nan")])
def test_prob(prob: float) -> None:
    with pytest.raises(UserError, match="prob"):
        RandomMixer([Mixup()], prob)


def test_whole_numbers_are_refused_by_the_mixer_that_blends() -> None:
    images = torch.zeros(20, 3, 4, 4, dtype=torch.uint8)
    with pytest.raises(UserError, match="Mixup blends float"):
        RandomMixer([Mixup(), CutMix()]).mix(images, images, generator=generator())
    assert RandomMixer([CutMix(), FMix()]).mix(images, images)[0].dtype == torch.uint8
