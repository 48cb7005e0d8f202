"""FMix: level sets of low-frequency noise, of exactly the size that lam asks for."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.mixers import FMix, Pair
from ssl_mix.mixers._common import highest
from ssl_mix.mixers.fmix import low_frequencies, soft_highest
from ssl_mix.mixers.mixer import Mixed

SIZES = [(32, 32), (24, 40), (33, 17), (1, 6)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blend(images: Tensor, lam: Tensor | float | None, **options: Any) -> Mixed:
    return FMix(**options).blend(Pair(images, images + 1), lam, generator())


def filtered(noise: NDArray[Any], power: float) -> NDArray[Any]:
    """White noise (N, H, W) with amplitudes times f ** -power, by the full complex transform in float64."""
    rows, columns = (np.fft.fftfreq(side) for side in noise.shape[1:])
    frequency = np.sqrt(rows[:, None] ** 2 + columns**2)
    weight = np.maximum(frequency, 1 / max(noise.shape[1:])) ** -power
    smooth = np.fft.ifft2(np.fft.fft2(noise) * weight)
    assert np.abs(smooth.imag).max() < 1e-9 * np.abs(smooth.real).max()
    return smooth.real


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("power", [0.0, 1.5, 3.0])
def test_the_mask_is_that_of_a_float64_implementation(size: tuple[int, int], power: float) -> None:
    lam = torch.linspace(0, 1, 20)
    mask = blend(torch.zeros(20, 1, *size), lam, decay_power=power).mask[:, 0]
    values = filtered(torch.randn((20, *size), generator=generator()).double().numpy(), power).reshape(20, -1)
    for k in range(20):
        count = round(lam[k].item() * values.shape[1])
        ranked = np.sort(values[k])[::-1]
        expected = values[k] >= (ranked[count - 1] if count else np.inf)
        differs = expected != mask[k].flatten().numpy()
        assert mask[k].sum() == expected.sum() == count
        if differs.any():  # Only pixels that float32 cannot tell from the threshold.
            assert np.abs(values[k][differs] - ranked[count - 1]).max() < 1e-5 * np.ptp(values[k])


def test_noise_falls_off_with_frequency_alike_in_all_directions() -> None:
    """The published code has one cosine along each row: no power where the column frequency is above 1."""
    height, width = 24, 40
    noise = torch.randn((800, height, width), generator=generator(), dtype=torch.float64)
    power = np.abs(np.fft.fft2(low_frequencies(noise, 3.0).numpy())) ** 2
    rows, columns = (np.fft.fftfreq(side) for side in (height, width))
    frequency = np.maximum(np.sqrt(rows[:, None] ** 2 + columns**2), 1 / width)
    flat = power.mean(0) * frequency**6
    # The mean of 800 exponential variables, of 400 where the transform of real noise is real or counted
    # twice.
    np.testing.assert_allclose(flat / flat.mean(), 1, rtol=0, atol=5 / np.sqrt(400))


def test_ties_are_broken_so_that_the_count_is_exact() -> None:
    values = torch.randint(0, 4, (300, 50), generator=generator()).float()
    values[:20] = 0.25
    count = torch.randint(0, 51, (300,), generator=generator(1), dtype=torch.int32)
    found = highest(values, count)
    for row, number, chosen in zip(values.numpy(), count.tolist(), found.numpy(), strict=True):
        order = np.argsort(-row, kind="stable")[:number]
        assert set(order.tolist()) == set(np.flatnonzero(chosen).tolist())


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_highest_are_found_at_any_scale(scale: float) -> None:
    values = torch.randn((50, 777), generator=generator()) * scale
    count = torch.arange(0, 777, 16, dtype=torch.int32)
    found = highest(values[: len(count)], count)
    for row, number, chosen in zip(values, count.tolist(), found, strict=False):
        assert torch.equal(chosen.nonzero()[:, 0], row.topk(number).indices.sort().values)


def test_a_given_lam_comes_back_as_what_the_mask_is() -> None:
    """Published: lam comes back unchanged, while one mask in three is off by more than 0.01."""
    lam = torch.rand(200, generator=generator(1))
    mixed = blend(torch.zeros(200, 1, 7, 9), lam)
    counts = mixed.images.sum((1, 2, 3))
    torch.testing.assert_close(mixed.lam, 1 - counts / 63, rtol=0, atol=1e-7)
    assert torch.equal(63 - counts, (lam * 63).round())


@pytest.mark.parametrize("max_soft", [0.1, 0.5])
@pytest.mark.parametrize("lam", [0.0, 0.03, 0.5, 0.8, 1.0])
def test_a_soft_border_fades_linearly_by_rank(max_soft: float, lam: float) -> None:
    images = torch.zeros(5, 1, 16, 20)
    mixed = blend(images, lam, max_soft=max_soft)
    hard = blend(images, lam)
    values = np.sort(mixed.mask.double().flatten(1).numpy())[:, ::-1]
    count = round(lam * 320)
    half = min(max_soft * 320, count, 320 - count)
    expected = np.interp(np.arange(320) + 0.5, [count - half - 1e-9, count + half + 1e-9], [1, 0])
    np.testing.assert_allclose(values, np.tile(expected, (5, 1)), rtol=0, atol=1e-6)
    torch.testing.assert_close(mixed.lam, hard.lam, rtol=0, atol=1e-6)
    if half:  # The order is that of the noise: what is kept whole is part of the hard mask.
        assert ((mixed.mask > 0.5) == hard.mask).all()


def test_no_softness_is_the_hard_mask() -> None:
    values = torch.randn((9, 100), generator=generator())
    count = torch.arange(0, 99, 11, dtype=torch.int32)
    soft = soft_highest(values, count, torch.zeros(9))
    assert torch.equal(soft, highest(values, count).float())


def test_a_soft_border_refuses_whole_numbers() -> None:
    with pytest.raises(UserError, match=r"torch\.uint8"):
        blend(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), None, max_soft=0.1)


def test_masks_differ_between_samples() -> None:
    assert len(blend(torch.zeros(50, 1, 16, 16), 0.5).mask.unique(dim=0)) == 50


@pytest.mark.parametrize("options", [{"max_soft": 0.6}, {"max_soft": -0.1}, {"decay_power": -1.0}])
def test_options(options: dict[str, float]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        FMix(**options)
