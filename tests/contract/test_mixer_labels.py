"""What every mixer promises of its lam and its mask, for all of ``MIXERS``."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from mixer_scene import (
    BUILDERS,
    BY_PIXEL,
    GIVEN,
    MIX,
    SHAPE,
    SHAPES,
    SMALLEST,
    Net,
    build,
    check_share,
    generator,
    given_lam,
    mix,
    pictures,
)
from numpy.typing import NDArray
from scipy import stats
from torch import nn

from ssl_mix.mixers import build_mixer

# The pixels of these are not where they were, so the mask does not tell from which pixel another comes.
MOVING = {"resizemix", "patchshuffle", "puzzlemix", "snapmix"}
# These keep lam exactly, so that it has the distribution it is drawn from: to 1e-6, or to half a pixel.
EXACT = {"mixup": 1e-6, "smoothmix": 1e-6, "patchmixup": 1e-6, "fmix": 0.5 / (24 * 40) + 1e-6}

# How far whole pixels keep lam from what was drawn, for 96 x 96 images.
DRAWN = {"mixup": 1e-6, "fmix": 0.5 / 96**2 + 1e-6, "gridmix": 0.03}


@BY_PIXEL
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("lam", GIVEN)
def test_label_weight_is_the_pixel_share(
    name: str, shape: tuple[int, int, int, int], lam: Any, nets: dict[int, Net]
) -> None:
    """Whatever lam is asked for, and for images that are not square, the label says what the image shows."""
    ones = torch.ones(shape)
    mixer = build(name, nets, shape)
    mixed = mix(mixer, ones, torch.zeros(shape), nets, given_lam(lam, shape[0]))
    assert (mixed.images.dtype, mixed.images.shape) == (ones.dtype, shape)
    check_share(mixed)


@BY_PIXEL
@pytest.mark.parametrize("lam", [None, 0.37])
def test_the_mask_says_what_the_picture_shows(name: str, lam: Any, nets: dict[int, Net]) -> None:
    images_a, images_b = pictures(), pictures(seed=2)
    mixed = mix(build(name, nets), images_a, images_b, nets, lam)
    assert mixed.mask.dtype in (torch.bool, torch.float32)
    assert mixed.mask.shape in ((6, 1, 24, 40), (6, 1, 1, 1))
    mask = mixed.mask.double()
    assert (mask.mean(dim=(1, 2, 3)) - mixed.lam.double()).abs().max() <= 1e-6
    if name not in MOVING:
        expected = mask * images_a.double() + (1 - mask) * images_b.double()
        torch.testing.assert_close(mixed.images.double(), expected, rtol=0, atol=1e-6)


@BY_PIXEL
def test_the_mask_of_moved_pixels_is_that_of_ones_and_zeros(name: str, nets: dict[int, Net]) -> None:
    """Whatever moves, the mask is where the base image has come to lie: not transposed, for one."""
    ones = torch.ones(SHAPE)
    mixed = mix(build(name, nets), ones, torch.zeros(SHAPE), nets)
    expected = mixed.mask.float().expand(SHAPE)
    torch.testing.assert_close(mixed.images, expected, rtol=0, atol=1e-6)


@MIX
@pytest.mark.parametrize("lam", [0.0, 0.05, 0.3, 0.5, 0.77, 1.0, "per sample"])
def test_a_given_lam_is_kept_to(name: str, lam: Any, nets: dict[int, Net]) -> None:
    """To 1e-6, to half a pixel, or to what rounding the sides of boxes and holes to whole pixels makes."""
    ones = torch.ones(64, *SHAPE[1:])
    share = mix(build(name, nets), ones, torch.zeros_like(ones), nets, given_lam(lam, 64)).lam
    asked = given_lam(lam, 64)
    if name in EXACT:
        assert (share - asked).abs().max() <= EXACT[name]
    elif name == "resizemix":  # Both sides are rounded by at most half a pixel.
        assert (share - asked).abs().max() <= 0.5 / 24 + 0.5 / 40
    elif (
        name == "gridmix"
    ):  # In rows and in columns each hole is off by at most a pixel; cells are nearly square.
        assert (share - asked).abs().max() <= 9 / 24 + 6 / 40
        assert (share - asked).abs().mean() <= 0.05
    elif name in (
        "cutmix",
        "patchshuffle",
    ):  # Sides are rounded down, and clipping makes boxes smaller still.
        assert (share - asked).min() >= -1e-6


@MIX
def test_a_larger_given_lam_shows_more_of_the_base_picture(name: str, nets: dict[int, Net]) -> None:
    images = pictures((64, *SHAPE[1:])), pictures((64, *SHAPE[1:]), seed=2)
    mixer = build(name, nets)
    if isinstance(mixer, nn.Module):
        pytest.skip("it has not learnt to")
    shares = [mix(mixer, *images, nets, lam).lam.mean() for lam in (0.1, 0.4, 0.7, 1.0)]
    assert shares == sorted(shares)
    assert shares[-1] - shares[0] > 0.3


def distance(lam: NDArray[Any], cdf: Callable[..., Any], resolution: float) -> Any:
    """Kolmogorov and Smirnov's, where observations may be off by ``resolution``."""
    levels = np.linspace(0, 1, 2001)
    below = np.searchsorted(np.sort(lam), levels - resolution, "left") / len(lam)
    upto = np.searchsorted(np.sort(lam), levels + resolution, "right") / len(lam)
    return max((below - cdf(levels)).max(), (cdf(levels) - upto).max())


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_lam_has_its_beta_distribution(name: str, alpha: float) -> None:
    images = torch.zeros(800, 1, 96, 96)
    lam = build_mixer(name, alpha).mix(images, images, generator=generator())[1].double().numpy()
    assert distance(lam, stats.beta(alpha, alpha).cdf, DRAWN[name]) < stats.kstwo(800).isf(0.01)
    other = stats.beta(alpha * 2, alpha * 2)
    assert distance(lam, other.cdf, DRAWN[name]) > stats.kstwo(800).isf(0.01)


@MIX
def test_every_sample_has_its_own_lam(name: str, nets: dict[int, Net]) -> None:
    """Not one for the batch; of mixers whose blocks may be large, many are equal."""
    images = pictures((50, 3, 64, 64)), pictures((50, 3, 64, 64), seed=2)
    lam = mix(build(name, nets, images[0].shape), *images, nets).lam
    assert len(lam.unique()) >= (2 if name in ("puzzlemix", "comixup") else 15)


@BY_PIXEL
@settings(max_examples=12, deadline=None)
@given(
    samples=st.integers(1, 7),
    height=st.integers(1, 45),
    width=st.integers(1, 45),
    lam=st.one_of(st.none(), st.floats(0, 1)),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_label_weight_is_the_pixel_share_for_all(
    name: str, samples: int, height: int, width: int, lam: float | None, dtype: torch.dtype, seed: int
) -> None:
    mixer = BUILDERS[name]()
    if "net" in mixer.needs or isinstance(mixer, nn.Module):
        pytest.skip("made for one size and dtype")
    assume(min(height, width) >= SMALLEST.get(name, 1))
    ones = torch.ones(samples, 2, height, width, dtype=dtype)
    mixed = mix(mixer, ones, torch.zeros_like(ones), {2: Net(2)}, lam, seed)
    if dtype == torch.bfloat16 and mixed.mask.dtype != torch.bool:
        error = (mixed.images.double().mean(dim=(1, 2, 3)) - mixed.lam.double()).abs().max()
        assert error <= torch.finfo(dtype).eps / 2
    else:
        check_share(mixed)
