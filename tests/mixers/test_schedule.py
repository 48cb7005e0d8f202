"""MixingSchedule: which batches are mixed, by where training stands."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import mixup_cross_entropy
from ssl_mix.mixers import CutMix, ManifoldMix, MixingSchedule, Mixup, RandomMixer, Unmixed
from ssl_mix.types import Step

IMAGES = torch.rand(5, 3, 8, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([3, 1, 4, 1, 5])


@pytest.mark.parametrize("mixer", [Mixup(), CutMix(), RandomMixer([Mixup(), CutMix()])])
def test_the_last_tenth_of_the_steps_is_not_mixed(mixer: Any) -> None:
    schedule = MixingSchedule(mixer, stop=0.1)
    chosen = [schedule(Step(number, 200)) for number in range(200)]
    assert chosen == [mixer] * 180 + [Unmixed()] * 20


@pytest.mark.parametrize(("stop", "number", "mixed"), [(0, 1000, False), (0, 999, True), (1, 0, False)])
def test_the_whole_and_nothing(stop: int, number: int, mixed: bool) -> None:
    assert isinstance(MixingSchedule(Mixup(), stop=stop)(Step(number, 1000)), Mixup) == mixed


def test_the_chance_falls_as_its_name_says() -> None:
    found = {
        shape: [MixingSchedule(Mixup(), shape, 0.5, 0.2).chance(Step(n, 10)) for n in (0, 2, 4, 7, 8)]
        for shape in ("linear", "cosine")
    }
    assert found["linear"] == pytest.approx([0.5, 0.375, 0.25, 0.0625, 0])
    assert found["cosine"] == pytest.approx(
        [0.5, 0.25 + 0.125 * 2**0.5, 0.25, 0.25 - 0.25 * 0.92388, 0], abs=1e-5
    )


def test_as_many_batches_are_mixed_as_the_chance_says_and_the_same_ones_again() -> None:
    schedule = MixingSchedule(CutMix(), prob=0.3)
    drawn = [
        [schedule(Step(1, 2, generator)) != Unmixed() for _ in range(2000)]
        for generator in (torch.Generator().manual_seed(5), torch.Generator().manual_seed(5))
    ]
    assert drawn[0] == drawn[1]
    assert abs(sum(drawn[0]) / 2000 - 0.3) < 5 * (0.3 * 0.7 / 2000) ** 0.5


def test_a_sure_chance_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    for schedule in (MixingSchedule(Mixup()), MixingSchedule(Mixup(), prob=0)):
        schedule(Step(1, 2, generator))
    assert torch.equal(generator.get_state(), state)


def test_what_is_not_mixed_has_the_form_of_what_is() -> None:
    batch = Unmixed().mix_batch(IMAGES, LABELS)
    assert torch.equal(batch.images, IMAGES)
    assert torch.equal(batch.target.lam, torch.ones(5))
    assert torch.equal(batch.target.labels_a, LABELS)
    assert torch.equal(batch.target.labels_b, LABELS)
    assert torch.equal(batch.partner, torch.arange(5))
    assert batch.mask.all()
    assert batch.mask.shape == (5, 1, 1, 1)


def test_it_draws_nothing() -> None:
    generator = torch.Generator().manual_seed(3)
    state = generator.get_state()
    before = torch.get_rng_state()
    Unmixed()(IMAGES, LABELS, generator=generator)
    Unmixed()(IMAGES, LABELS)
    assert torch.equal(generator.get_state(), state)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16])
@pytest.mark.parametrize("lam", [None, 0.3])
def test_two_batches_give_the_first(dtype: torch.dtype, lam: float | None) -> None:
    images = (IMAGES * 255).to(dtype)
    mixed, share = Unmixed().mix(images, images + 1, lam=lam)
    assert torch.equal(mixed, images)
    assert torch.equal(share, torch.ones(5))
    assert mixed.data_ptr() != images.data_ptr()


def test_the_loss_is_plain_cross_entropy() -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(1))
    target = Unmixed()(IMAGES, LABELS)[1]
    expected = torch.nn.functional.cross_entropy(logits, LABELS)
    torch.testing.assert_close(mixup_cross_entropy(logits, *target), expected)


def test_the_pictures_are_copies() -> None:
    images, labels = IMAGES.clone(), LABELS.clone()
    batch = Unmixed().mix_batch(images, labels)
    batch.images.fill_(7)
    batch.target.labels_b.fill_(7)
    assert torch.equal(images, IMAGES)
    assert torch.equal(labels, LABELS)


@pytest.mark.parametrize("labels", [LABELS[:3], LABELS.float()])
def test_labels(labels: Tensor) -> None:
    with pytest.raises(UserError, match="labels"):
        Unmixed()(IMAGES, labels)


def test_a_mixer_of_hidden_layers_still_gives_logits() -> None:
    """What it returns is of the same kind before and after, so that a loop need not know when mixing
    stops."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 6, 7))
    schedule = MixingSchedule(ManifoldMix(layers=["1"]), stop=0.5)
    for number in (0, 9):
        mixer = schedule(Step(number, 10))
        assert (mixer.hidden, mixer.needs) == (True, {"net"})
        logits, target = mixer(IMAGES, LABELS, net=net)
        pair_logits, lam = mixer.mix(IMAGES, IMAGES.flip(0), net=net)
        assert logits.shape == pair_logits.shape == (5, 7)
        with mixer.applied(net, IMAGES, LABELS) as mixed:
            assert torch.equal(mixed.images, IMAGES)
            assert mixed.mask is None
            last = net(mixed.images)
        with pytest.raises(UserError, match="net="):
            mixer(IMAGES, LABELS)
    assert isinstance(mixer, Unmixed)
    plain = net(IMAGES)
    assert all(torch.equal(one, plain) for one in (logits, pair_logits, last))
    assert all(torch.equal(share, torch.ones(5)) for share in (target.lam, lam, mixed.target.lam))
    assert torch.equal(target.labels_b, LABELS)


@pytest.mark.parametrize("mixer", ["mixup", Mixup, None, MixingSchedule(Mixup())])
def test_what_is_no_mixer(mixer: Any) -> None:
    with pytest.raises(UserError, match="mixer"):
        MixingSchedule(mixer)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_shares_are_checked(value: float) -> None:
    for options in ({"stop": value}, {"prob": value}):
        with pytest.raises(UserError, match=next(iter(options))):
            MixingSchedule(Mixup(), **options)
    with pytest.raises(UserError, match="progress"):
        MixingSchedule(Mixup())(Step(3, 2))
    with pytest.raises(UserError, match="shape"):
        MixingSchedule(Mixup(), "lineer")  # type: ignore[arg-type]
