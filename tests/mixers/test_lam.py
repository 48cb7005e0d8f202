"""Which lam Mixup and CutMix draw and return."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from ssl_mix.mixers import CutMix, Mixup


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_lam_is_the_one_that_was_given_to_mixup() -> None:
    lam = torch.rand(7, generator=generator())
    images = torch.zeros(7, 1, 2, 2, dtype=torch.bfloat16)
    for given, expected in (
        (lam, lam),
        (lam.double(), lam),
        (0.37, torch.full((7,), 0.37)),
        (1, torch.ones(7)),
    ):
        share = Mixup().mix(images, images, lam=given)[1]
        assert share.dtype == torch.float32
        assert torch.equal(share, expected)


@pytest.mark.parametrize("alpha", [0.01, 100.0])
def test_extreme_alphas_give_lam_between_zero_and_one(alpha: float) -> None:
    """A ratio of two gamma variables that both underflow would be nan."""
    images = torch.zeros(20000, 1, 1, 1)
    _, lam = Mixup(alpha).mix(images, images, generator=generator())
    assert ((lam >= 0) & (lam <= 1)).all()
    deviation = np.sqrt(1 / (4 * (2 * alpha + 1)))
    assert lam.double().mean().item() == pytest.approx(0.5, abs=3 * deviation / np.sqrt(20000))
    assert lam.double().std().item() == pytest.approx(deviation, rel=0.02)


def simulated_cutmix_lam(alpha: float, size: int, samples: int) -> Iterator[np.float64]:
    """The published procedure, one sample at a time: area share 1 - lam, center uniform, clipped at the
    borders."""
    draw = np.random.default_rng(0)
    for _ in range(samples):
        half = size * np.sqrt(1 - draw.beta(alpha, alpha)) / 2
        sides = [min(size, c + half) - max(0, c - half) for c in draw.uniform(0, size, 2)]
        yield 1 - sides[0] * sides[1] / size**2


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_cutmix_draws_lam_as_published(alpha: float) -> None:
    images = torch.zeros(1, 1, 224, 224).expand(2000, -1, -1, -1)
    lam = torch.cat([CutMix(alpha).mix(part, part, generator=generator(k))[1]
                     for k, part in enumerate(images.split(250))])  # fmt: skip
    expected = list(simulated_cutmix_lam(alpha, 224, 8000))
    # Whole pixels shift the share by at most 2 / 224, so the two samples are compared at that resolution.
    for level in np.linspace(0.1, 0.9, 9):
        below, above = np.mean(np.array(expected) < level - 0.01), np.mean(np.array(expected) < level + 0.01)
        observed, noise = (lam.double().numpy() < level).mean(), 3 * np.sqrt(0.25 / 2000 + 0.25 / 8000)
        assert below - noise <= observed <= above + noise


@pytest.mark.parametrize("lam", [0.2, 0.5, 0.8])
def test_clipping_leaves_the_expected_share(lam: float) -> None:
    """A center uniform on a side of length 1 leaves r - r^2 / 4 of a box side r = sqrt(1 - lam) on
    average."""
    images = torch.zeros(1, 1, 96, 96).expand(2000, -1, -1, -1)
    _, share = CutMix().mix(images, images, lam=lam, generator=generator())
    side = np.sqrt(1 - lam)
    expected = 1 - (side - side**2 / 4) ** 2
    assert share.double().mean().item() == pytest.approx(expected, abs=2 / 96)
    assert share.min() >= lam - 2 / 96
