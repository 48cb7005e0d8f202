"""Draws go on from call to call, and partners are a random permutation."""

import pytest
import torch
from scipy import stats

from ssl_mix.mixers import CutMix, Mixup


@pytest.fixture(params=[Mixup, CutMix])
def mixer(request):
    """Each mixer with its default alpha."""
    return request.param()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(samples=8, size=16, **options):
    images = torch.randn(samples, 3, size, size, generator=generator(9), **options)
    return images, torch.arange(samples)


def result(mixer, **options):
    mixed, target = mixer(*batch(), **options)
    return torch.cat([mixed.flatten(), target.labels_b, target.lam])


def test_a_generator_moves_on(mixer):
    stream = generator()
    assert not torch.equal(result(mixer, generator=stream), result(mixer, generator=stream))


def test_partners_are_every_permutation_equally_often(mixer):
    images, labels = batch(samples=3, size=2)
    counts: dict[tuple[int, ...], int] = {}
    stream = generator(1)
    for _ in range(600):
        partners = tuple(mixer(images, labels, generator=stream)[1].labels_b.tolist())
        counts[partners] = counts.get(partners, 0) + 1
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > 0.01


def test_partner_and_lam_are_independent():
    """Among equal partners lam is still Beta(1, 1), and lam does not follow the position in the batch."""
    images, labels = torch.zeros(3000, 1, 1, 1), torch.arange(3000)
    target = Mixup()(images, labels, generator=generator())[1]
    lam = target.lam.numpy()
    assert stats.spearmanr(lam, target.labels_b.numpy()).pvalue > 0.01
    assert stats.spearmanr(lam, labels.numpy()).pvalue > 0.01
    assert stats.spearmanr(lam[:-1], lam[1:]).pvalue > 0.01


def test_a_batch_of_one_is_mixed_with_itself(mixer):
    images, labels = batch(samples=1)
    mixed, target = mixer(images, labels, generator=generator())
    torch.testing.assert_close(mixed, images)
    assert target.labels_a.tolist() == target.labels_b.tolist() == [0]
