"""SmoothMix: a bell of the base image, with the mean that the label says."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import optimize, stats

from ssl_mix.errors import UserError
from ssl_mix.mixers import Pair, SmoothMix
from ssl_mix.mixers.mixer import Mixed

SIZES = [(24, 40), (32, 32), (5, 3)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blend(samples: int, size: tuple[int, int], lam: float | None = None, **options: Any) -> Mixed:
    images = torch.ones(samples, 1, *size)
    return SmoothMix(**options).blend(Pair(images, torch.zeros_like(images)), lam, generator())


def bell(center: tuple[np.float64, np.float64], sigma: np.float64, size: tuple[int, int]) -> NDArray[Any]:
    """The Gaussian as a loop over pixels would compute it, in float64."""
    rows, columns = ((np.arange(side) + 0.5) / side for side in size)
    squared = (rows[:, None] - center[0]) ** 2 + (columns - center[1]) ** 2
    return np.exp(-squared / (2 * sigma**2))


def draws(samples: int) -> NDArray[Any]:
    return torch.rand((samples, 3), generator=generator()).double().numpy()


@pytest.mark.parametrize("size", SIZES)
def test_the_picture_is_the_bell_and_lam_its_mean(size: tuple[int, int]) -> None:
    """Published: the label gives the base image the weight of the bell, the image shows it as 1 minus the
    bell."""
    mixed = blend(40, size)
    for k, (row, column, u) in enumerate(draws(40)):
        expected = bell((row, column), 0.25 + 0.25 * u, size)
        np.testing.assert_allclose(mixed.images[k, 0].double(), expected, rtol=0, atol=1e-6)
        assert mixed.lam[k].item() == pytest.approx(expected.mean(), abs=1e-6)


def test_the_base_picture_shows_most_at_the_center() -> None:
    mixed = blend(40, (64, 64))
    for k, (row, column, _) in enumerate(draws(40)):
        brightest = np.unravel_index(mixed.images[k, 0].numpy().argmax(), (64, 64))
        assert brightest == (int(row * 64), int(column * 64))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("lam", [1e-3, 0.1, 0.5, 0.9, 0.999])
def test_a_given_lam_decides_sigma(size: tuple[int, int], lam: float) -> None:
    mixed = blend(20, size, lam)
    for k, (row, column, _) in enumerate(draws(20)):

        def excess(log_sigma: float, center: tuple[np.float64, np.float64] = (row, column)) -> np.float64:
            return bell(center, np.exp(log_sigma), size).mean() - lam

        sigma = np.exp(optimize.brentq(excess, np.log(1e-4), np.log(1e3), xtol=1e-12))
        expected = bell((row, column), sigma, size)
        np.testing.assert_allclose(mixed.images[k, 0].double(), expected, rtol=0, atol=2e-5)
    assert (mixed.lam - lam).abs().max() <= 1e-6


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_the_ends_are_the_pictures_themselves(lam: float) -> None:
    mixed = blend(30, (24, 40), lam)
    assert torch.equal(mixed.lam, torch.full((30,), lam))
    torch.testing.assert_close(mixed.images, torch.full_like(mixed.images, lam), rtol=0, atol=1e-30)


def test_sigma_is_uniform_and_its_range_can_be_given() -> None:
    """Seen in the slope of the logarithm between the two ends of a line."""
    line = blend(1000, (1, 2), sigma=(0.5, 1.5)).images[:, 0, 0].double().log().numpy()
    _, center, _ = draws(1000).T
    # log G(1/4) - log G(3/4) = ((3/4 - c)^2 - (1/4 - c)^2) / (2 sigma^2)
    far_from_the_middle = np.abs(center - 0.5) > 0.05
    slope = ((0.75 - center) ** 2 - (0.25 - center) ** 2) / (2 * (line[:, 0] - line[:, 1]))
    sigma = np.sqrt(slope[far_from_the_middle])
    assert stats.kstest(sigma, stats.uniform(0.5, 1).cdf).pvalue > 0.01


@pytest.mark.parametrize("sigma", [(0.0, 0.5), (0.5, 0.25), (0.5, float("inf")), 0.5, (0.5,)])
def test_sigma(sigma: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="sigma"):
        SmoothMix(sigma=sigma)
