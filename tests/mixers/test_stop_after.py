"""StopAfter: mixing ends before training does."""

from typing import Any

import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import mixup_cross_entropy
from ssl_mix.mixers import CutMix, ManifoldMix, Mixup, RandomMixer, StopAfter, Unmixed

IMAGES = torch.rand(5, 3, 8, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([3, 1, 4, 1, 5])


@pytest.mark.parametrize("mixer", [Mixup(), CutMix(), RandomMixer([Mixup(), CutMix()])])
def test_the_last_tenth_of_the_steps_is_not_mixed(mixer: Any) -> None:
    stop = StopAfter(mixer, fraction=0.1)
    chosen = [stop(step / 200) for step in range(200)]
    assert chosen == [mixer] * 180 + [Unmixed()] * 20


@pytest.mark.parametrize(
    ("fraction", "progress", "mixed"), [(0, 1.0, False), (0, 0.999, True), (1, 0, False)]
)
def test_the_whole_and_nothing(fraction: int, progress: float, mixed: bool) -> None:
    assert isinstance(StopAfter(Mixup(), fraction)(progress), Mixup) == mixed


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
    stop = StopAfter(ManifoldMix(layers=["1"]), fraction=0.5)
    for progress in (0.0, 0.9):
        mixer = stop(progress)
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


@pytest.mark.parametrize("mixer", ["mixup", Mixup, None, StopAfter(Mixup())])
def test_what_is_no_mixer(mixer: Any) -> None:
    with pytest.raises(UserError, match="mixer"):
        StopAfter(mixer)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_fraction_and_progress(value: float) -> None:
    with pytest.raises(UserError, match="fraction"):
        StopAfter(Mixup(), value)
    with pytest.raises(UserError, match="progress"):
        StopAfter(Mixup())(value)
