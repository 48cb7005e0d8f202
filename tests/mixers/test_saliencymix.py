"""SaliencyMix: the box lies where the partner is salient."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssl_mix.mixers import SaliencyMix
from ssl_mix.mixers.saliency import fine_grained_saliency
from ssl_mix.mixers.saliencymix import coarse_saliency, peak

SPOTS = [(5, 9), (20, 30), (0, 39), (31, 0), (16, 17)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spotted(dtype: torch.dtype = torch.float32) -> Tensor:
    """Images (5, 3, 32, 40) of noise with one bright pixel in the middle of a bright cross."""
    images = torch.rand(5, 3, 32, 40, generator=generator()) * 20
    for image, (row, column) in zip(images, SPOTS, strict=True):
        image[:, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] += 50
        image[:, row, column] = 250
    return images.to(dtype)


def expected_mask(lam: NDArray[Any], spots: list[Any], height: int, width: int) -> NDArray[Any]:
    """True where the partner is pasted, one sample after the other."""
    masks = np.zeros((len(spots), height, width), dtype=bool)
    for mask, share, (row, column) in zip(masks, lam, spots, strict=True):
        tall, wide = (int(side * np.sqrt(np.float32(1) - share)) for side in (height, width))
        top, left = row - tall // 2, column - wide // 2
        mask[max(top, 0) : max(top + tall, 0), max(left, 0) : max(left + wide, 0)] = True
    return masks


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
def test_each_box_is_around_its_own_partners_peak(dtype: torch.dtype) -> None:
    """Not around that of one image for all."""
    images_a, images_b = torch.zeros(5, 3, 32, 40, dtype=dtype), spotted(dtype)
    lam = torch.tensor([0.3, 0.8, 0.5, 0.9, 0.65])
    mixed, share = SaliencyMix().mix(images_a, images_b, lam=lam)
    mask = expected_mask(lam.numpy(), SPOTS, 32, 40)
    assert torch.equal(mixed, torch.where(torch.from_numpy(mask)[:, None], images_b, images_a))
    np.testing.assert_allclose(share.numpy(), 1 - mask.mean((1, 2)), atol=1e-6)


def test_given_saliency_decides() -> None:
    saliency = torch.rand(5, 32, 40, generator=generator(2))
    spots = [np.unravel_index(one.argmax(), one.shape) for one in saliency.numpy()]
    lam = torch.full((5,), 0.6)
    mixed, _ = SaliencyMix().mix(
        torch.zeros(5, 1, 32, 40), torch.ones(5, 1, 32, 40), lam=lam, saliency_b=saliency
    )
    assert (mixed[:, 0].bool().numpy() == expected_mask(lam.numpy(), spots, 32, 40)).all()


def test_a_batch_with_itself_uses_the_saliency_of_the_partner() -> None:
    mixed = SaliencyMix().mix_batch(spotted(), torch.arange(5), generator=generator())
    assert mixed.partner.tolist() != [0, 1, 2, 3, 4]
    for mask, partner in zip(mixed.mask[:, 0], mixed.partner, strict=True):
        row, column = SPOTS[partner]
        assert not mask[row, column]


def test_what_is_no_saliency_counts_as_none() -> None:
    saliency = torch.zeros(3, 8, 12)
    saliency[:, 2, 5] = 1
    saliency[0, 0, 0], saliency[1, 0, 0], saliency[2, 0, 0] = float("nan"), float("inf"), -5
    images = torch.rand(3, 1, 8, 12)
    mixed = SaliencyMix().mix(images, images + 1, lam=0.8, saliency_b=saliency)
    clean = SaliencyMix().mix(
        images, images + 1, lam=0.8, saliency_b=saliency.nan_to_num(0, 0, 0).clamp(min=0)
    )
    assert torch.equal(mixed[0], clean[0])
    assert (mixed[0][:, 0, 2, 5] > images[:, 0, 2, 5] + 0.5).all()


def test_the_box_of_a_picture_without_a_peak_is_in_the_middle() -> None:
    center = peak(torch.stack((torch.zeros(6, 9), torch.eye(6, 9).flip(1))))
    assert torch.equal(center, torch.tensor([[0.5, 0.5], [0.5 / 6, 8.5 / 9]]))


def test_values_on_the_device_are_never_looked_at() -> None:
    images, saliency = torch.empty(4, 3, 20, 30, device="meta"), torch.empty(4, 20, 30, device="meta")
    for given in (None, saliency):
        mixed, share = SaliencyMix().mix(images, images, saliency_b=given, generator=generator())
        assert (mixed.device.type, share.device.type) == ("meta", "meta")


def test_large_pictures_are_looked_at_on_a_coarser_grid() -> None:
    images = torch.zeros(2, 3, 224, 230)
    images[0, :, 40:48, 160:168], images[1, :, 200:208, 8:16] = 255, 255
    coarse = coarse_saliency(images)
    assert coarse.shape == (2, 56, 57)
    pixels = peak(coarse) * torch.tensor([224, 230])
    torch.testing.assert_close(pixels, torch.tensor([[44.0, 164.0], [204.0, 12.0]]), rtol=0, atol=4)
    small = torch.rand(2, 3, 111, 60, generator=generator())
    assert torch.equal(coarse_saliency(small), fine_grained_saliency(small))
