"""The counter-examples of LUMix: shuffled patches, and a share per patch."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.mixers import CutMix, Pair, PatchMixup, PatchShuffle

SIZES = [(32, 32), (48, 64), (24, 40), (50, 35)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pair(samples: int, size: tuple[int, int]) -> Pair:
    """Images in which every value is there once."""
    values = torch.randperm(2 * samples * 2 * size[0] * size[1], generator=generator(9)).float()
    return Pair(*values.view(2, samples, 2, *size))


def patches(image: Tensor) -> list[bytes]:
    """The whole 16 x 16 patches of an image (C, H, W), as byte strings."""
    _, height, width = image.shape
    corners = ((y, x) for y in range(0, height - 15, 16) for x in range(0, width - 15, 16))
    return [image[:, y : y + 16, x : x + 16].numpy().tobytes() for y, x in corners]


@pytest.mark.parametrize("size", SIZES)
def test_the_patches_of_the_mixed_picture_are_put_elsewhere(size: tuple[int, int]) -> None:
    given = pair(8, size)
    mixed, cut = (mixer.blend(given, None, generator()) for mixer in (PatchShuffle(), CutMix()))
    assert torch.equal(mixed.lam, cut.lam)
    for own, before in ((mixed.images, cut.images), (mixed.mask, cut.mask)):
        for shuffled, ordered in zip(own, before, strict=True):
            assert sorted(patches(shuffled)) == sorted(patches(ordered))
    rows, columns = (side // 16 * 16 for side in size)
    for own, before in ((mixed.images, cut.images), (mixed.mask, cut.mask)):
        assert torch.equal(own[:, :, rows:], before[:, :, rows:])
        assert torch.equal(own[:, :, :, columns:], before[:, :, :, columns:])


def test_mask_and_picture_are_shuffled_alike() -> None:
    given = pair(8, (48, 64))
    mixed = PatchShuffle().blend(given, None, generator())
    from_a = torch.isin(mixed.images, given.images_a)
    assert torch.equal(from_a, mixed.mask.expand_as(from_a))


def test_each_picture_has_its_own_order_and_all_orders_come_alike() -> None:
    image = torch.arange(4.0).view(1, 1, 2, 2).repeat_interleave(16, 2).repeat_interleave(16, 3)
    images = image.expand(2400, -1, -1, -1)
    shuffled = PatchShuffle().blend(Pair(images, images), None, generator()).images[:, 0, ::16, ::16]
    orders, counts = shuffled.flatten(1).unique(dim=0, return_counts=True)
    assert len(orders) == 24
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_pictures_smaller_than_a_patch_are_refused() -> None:
    with pytest.raises(UserError, match="15 x 40"):
        PatchShuffle().mix(*torch.zeros(2, 3, 1, 15, 40))
    with pytest.raises(UserError, match="15 x 40"):
        PatchShuffle().prepare(torch.nn.Identity(), (1, 15, 40))
    images, _ = PatchShuffle(size=5).mix(*torch.zeros(2, 3, 1, 15, 40))
    assert images.shape == (3, 1, 15, 40)


@pytest.mark.parametrize("size", SIZES)
def test_every_patch_is_a_blend_of_its_own(size: tuple[int, int]) -> None:
    images = torch.ones(6, 3, *size)
    mixed = PatchMixup().blend(Pair(images, torch.zeros_like(images)), None, generator())
    corners = mixed.images[:, :, ::16, ::16]
    expected = corners.repeat_interleave(16, 2).repeat_interleave(16, 3)[:, :, : size[0], : size[1]]
    assert torch.equal(mixed.images, expected)
    assert torch.equal(corners, corners[:, :1].expand_as(corners))
    assert len(corners[:, 0].unique()) == corners[:, 0].numel()


@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_the_share_of_a_patch_has_the_beta_distribution(alpha: float) -> None:
    images = torch.ones(100, 1, 64, 64)
    mixed = PatchMixup(alpha).blend(Pair(images, images), None, generator())
    shares = mixed.mask[:, 0, ::16, ::16].flatten().double().numpy()
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("lam", [0.0, 0.01, 0.3, 0.5, 0.9, 1.0])
def test_a_given_lam_becomes_the_mean_and_keeps_the_order(lam: float) -> None:
    images = torch.ones(40, 1, 48, 40)
    drawn, moved = (
        PatchMixup().blend(Pair(images, torch.zeros_like(images)), asked, generator())
        for asked in (None, lam)
    )
    assert (moved.lam - lam).abs().max() <= 1e-6
    assert ((moved.mask >= 0) & (moved.mask <= 1)).all()
    up = np.asarray(drawn.lam < lam)
    difference = (moved.mask - drawn.mask).flatten(1).double().numpy()
    assert (difference[up] >= -1e-6).all()
    assert (difference[~up] <= 1e-6).all()
    order = drawn.mask.flatten(1).argsort(dim=1, stable=True)
    assert (moved.mask.flatten(1).gather(1, order).diff(dim=1) >= -1e-7).all()


@pytest.mark.parametrize("mixer", [PatchShuffle, PatchMixup])
@pytest.mark.parametrize("size", [0, -16, 2.5])
def test_size(mixer: type[PatchShuffle], size: float) -> None:
    with pytest.raises(UserError, match="size"):
        mixer(size=size)
