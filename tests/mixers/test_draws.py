"""Draws go on from call to call, and partners are a random permutation."""

from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from ssl_mix.mixers import CutMix, Mixup


@pytest.fixture(params=[Mixup, CutMix])
def mixer(request: Any) -> Any:
    """Each mixer with its default alpha."""
    return request.param()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(samples: int = 8, size: int = 16, **options: Any) -> tuple[Tensor, Tensor]:
    images = torch.randn(samples, 3, size, size, generator=generator(9), **options)
    return images, torch.arange(samples)


def result(mixer: Any, **options: Any) -> Tensor:
    mixed, target = mixer(*batch(), **options)
    return torch.cat([mixed.flatten(), target.labels_b, target.lam])


def test_a_generator_moves_on(mixer: Any) -> None:
    stream = generator()
    assert not torch.equal(result(mixer, generator=stream), result(mixer, generator=stream))


def test_partners_are_every_permutation_equally_often(mixer: Any) -> None:
    images, labels = batch(samples=3, size=2)
    counts: dict[tuple[int, ...], int] = {}
    stream = generator(1)
    for _ in range(600):
        partners = tuple(mixer(images, labels, generator=stream)[1].labels_b.tolist())
        counts[partners] = counts.get(partners, 0) + 1
    assert len(counts) == 6
    assert stats.chisquare(list(counts.values())).pvalue > 0.01


def test_partner_and_lam_are_independent() -> None:
    """Among equal partners lam is still Beta(1, 1), and lam does not follow the position in the batch."""
    images, labels = torch.zeros(3000, 1, 1, 1), torch.arange(3000)
    target = Mixup()(images, labels, generator=generator())[1]
    lam = target.lam.numpy()
    assert stats.spearmanr(lam, target.labels_b.numpy()).pvalue > 0.01
    assert stats.spearmanr(lam, labels.numpy()).pvalue > 0.01
    assert stats.spearmanr(lam[:-1], lam[1:]).pvalue > 0.01


def test_a_batch_of_one_is_mixed_with_itself(mixer: Any) -> None:
    images, labels = batch(samples=1)
    mixed, target = mixer(images, labels, generator=generator())
    torch.testing.assert_close(mixed, images)
    assert target.labels_a.tolist() == target.labels_b.tolist() == [0]
