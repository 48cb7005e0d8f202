"""Draws from Beta(alpha, alpha) against its closed forms, for every alpha that anybody may ask for."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import ssl_mix
from ssl_mix.losses import lumix_lam
from ssl_mix.mixers import build_mixer
from ssl_mix.randomness import sample_beta

COUNT = 40_000
ALPHAS = [1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 1.0, 2.0, 10.0, 100.0]
CPU = torch.device("cpu")


def draws(alpha: float, *, folded: bool = False, seed: int = 0) -> np.ndarray:
    generator = torch.Generator().manual_seed(seed)
    return sample_beta(COUNT, alpha, generator, CPU, folded=folded).double().numpy()


def check_moments(lam: np.ndarray, alpha: float) -> None:
    """Mean, second and fourth central moment of Beta(alpha, alpha), within four standard errors."""
    variance = 1 / (4 * (2 * alpha + 1))
    fourth = variance**2 * (3 - 6 / (2 * alpha + 3))
    errors = np.sqrt(np.array([variance, fourth - variance**2 + 1e-12]) / len(lam))
    assert abs(lam.mean() - 0.5) <= 4 * errors[0]
    assert abs(((lam - 0.5) ** 2).mean() - variance) <= 4 * errors[1] + 1e-7


@pytest.mark.parametrize("alpha", ALPHAS)
def test_moments(alpha: float) -> None:
    check_moments(draws(alpha), alpha)


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_mass_of_the_tails_and_of_the_middle(alpha: float, folded: bool) -> None:
    """The share below a limit, down to where float32 ends; a fourth of the draws must not sit at one half."""
    lam = draws(alpha, folded=folded, seed=1)
    assert lam.min() >= 0 and lam.max() <= (0.5 if folded else 1)
    for limit in (1e-30, 1e-6, 1e-3, 0.1, 0.4, 0.499):
        expected = stats.beta(alpha, alpha).cdf(limit) * (2 if folded else 1)
        error = 4 * np.sqrt(expected * (1 - expected) / COUNT) + (2e-7 if limit > 1e-7 else 0)
        assert abs((lam < limit).mean() - expected) <= error, limit
    assert (lam == 0.5).mean() < 1e-3


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("alpha", [1e-3, 0.2, 1.0, 2.0])
def test_one_generator_decides_and_the_global_one_is_left_alone(alpha: float, folded: bool) -> None:
    before = torch.get_rng_state()
    first, again, other = (draws(alpha, folded=folded, seed=seed) for seed in (3, 3, 4))
    assert (first == again).all() and (first != other).any()
    assert torch.equal(before, torch.get_rng_state())
    assert sample_beta(5, alpha, None, CPU, folded=folded).dtype == torch.float32


@pytest.mark.parametrize("name", ["mixup", "fmix", "patchmixup"])
@pytest.mark.parametrize("alpha", [1e-3, 0.05, 2.0])
def test_mixers_that_keep_lam_exactly(name: str, alpha: float) -> None:
    images = torch.zeros(8000, 1, 8, 8)
    lam = build_mixer(name, alpha).mix(images, images, generator=torch.Generator().manual_seed(0))[1]
    half_a_pixel = 0 if name != "fmix" else 1 / 128
    expected = stats.beta(alpha, alpha)
    for limit in (0.02, 0.3):
        low, high = expected.cdf(limit - half_a_pixel), expected.cdf(limit + half_a_pixel)
        found, error = (lam < limit).double().mean().item(), 4 * np.sqrt(0.25 / 8000)
        assert low - error <= found <= high + error


@pytest.mark.parametrize("alpha", [1e-3, 0.2])
def test_the_noise_of_lumix(alpha: float) -> None:
    labels = torch.zeros(COUNT, dtype=torch.int64)
    generator = torch.Generator().manual_seed(5)
    options = {"random_ratio": 1.0, "score_ratio": 0.0, "alpha": alpha, "generator": generator}
    lam = lumix_lam(torch.zeros(COUNT, 2), labels, labels + 1, 0.5, **options)
    check_moments(lam.double().numpy(), alpha)


def test_nothing_else_in_the_package_draws_one() -> None:
    root = Path(ssl_mix.__file__).parent
    files = [*root.rglob("*.py"), *(root.parent / "algorithms").glob("*.py")]
    marks = ("_standard_gamma(", "torch.distributions", ".beta(", ".dirichlet(", ".gamma(", "betavariate")
    drawing = {file.name for file in files if any(mark in file.read_text() for mark in marks)}
    assert drawing == {"randomness.py"}
