"""What the network sees of larger stored images, against torchvision's crops and NumPy's padding."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from ssl_mix import UserError
from ssl_mix.augment import Augmentation, RandAugment, cutout, flip_and_crop
from ssl_mix.augment.crops import center_crop, ten_crops
from ssl_mix.augment.resized_crop import random_resized_crop, sample_boxes
from ssl_mix.augment.views import Crop
from ssl_mix.augment.weak import apply_shifts, sample_shifts

SIZES = [(28, 28, 24), (28, 28, 25), (29, 40, 24), (32, 32, 32), (27, 26, 20)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int, height: int = 28, width: int = 28) -> Tensor:
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator(7))


def smooth(count: int, height: int, width: int) -> Tensor:
    small = torch.rand(count, 3, 6, 6, generator=generator(3))
    large = torch.nn.functional.interpolate(small, (height, width), mode="bicubic").clamp(0, 1)
    return (255 * large).round().to(torch.uint8)


def augmentation(size: int | None, crop: Crop = "pad", padding: int = 0, flip: bool = True) -> Augmentation:
    return Augmentation((0.5,) * 3, (0.25,) * 3, flip=flip, padding=padding, crop=crop, size=size)


@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_the_plain_view_is_torchvisions_center_crop(height: int, width: int, size: int) -> None:
    images = noise(3, height, width)
    expected = v2.CenterCrop(size)(images)
    assert torch.equal(center_crop(images, size), expected)
    wanted = augmentation(size)
    plain = wanted.views(images, ("plain",), generator())["plain"]
    assert torch.equal(plain, wanted.normalize(expected))
    last = wanted.views(images, ("plain",), generator(), channels_last=True)["plain"]
    assert torch.equal(last, plain) and last.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_ten_and_five_crops_are_torchvisions(height: int, width: int, size: int) -> None:
    images = noise(2, height, width)

    def as_set(crops: object) -> set[bytes]:
        return {crop.numpy().tobytes() for crop in crops}  # type: ignore[attr-defined]

    found = list(ten_crops(images, size))
    assert len(found) == 10 and as_set(found) == as_set(v2.TenCrop(size)(images))
    five = list(ten_crops(images, size, mirrored=False))
    assert len(five) == 5 and as_set(five) == as_set(v2.FiveCrop(size)(images))


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(("height", "width", "size"), SIZES)
def test_the_weak_view_is_a_crop_of_the_padded_picture(
    height: int, width: int, size: int, padding: int
) -> None:
    images = noise(20, height, width)
    room = height - size, width - size
    shifts = sample_shifts(20, flip=True, padding=padding, generator=generator(), room=room)
    weak = flip_and_crop(images, padding=padding, size=size, generator=generator())
    assert torch.equal(weak, apply_shifts(images, shifts, (size, size)))
    wide = ((0, 0), (padding, padding), (padding, padding))
    for image, crop, flip, row, column in zip(images.numpy(), weak.numpy(), *shifts, strict=True):
        top, left = int(row) + padding, int(column) + padding
        expected = np.pad(image, wide, mode="reflect")[:, top : top + size, left : left + size]
        assert expected.shape == crop.shape == (3, size, size)
        assert np.array_equal(crop, expected[:, :, ::-1] if flip else expected)


def test_crops_lie_anywhere_with_the_same_probability() -> None:
    shifts = sample_shifts(40_000, flip=False, padding=1, generator=generator(), room=(3, 6))
    for moves, room in ((shifts.rows, 3), (shifts.columns, 6)):
        assert moves.min() == -1 and moves.max() == room + 1
        assert stats.chisquare(np.bincount(moves.numpy() + 1)).pvalue > 0.001


def test_without_a_size_the_draws_are_those_of_before_there_was_one() -> None:
    shifts = sample_shifts(50, flip=True, padding=4, generator=generator(5))
    before = generator(5)
    assert torch.equal(shifts.flip, torch.rand(50, generator=before) < 0.5)
    moves = torch.randint(-4, 5, (2, 50), generator=before)
    assert torch.equal(torch.stack((shifts.rows, shifts.columns)), moves)


@pytest.mark.parametrize(("side", "size"), [(56, 48), (56, 56), (40, 48)])
def test_resized_crops_have_the_pixels_of_one_picture_at_a_time(side: int, size: int) -> None:
    images = smooth(32, side, side)
    found = random_resized_crop(images, size=size, generator=generator())
    assert found.shape == (32, 3, size, size)
    boxes = sample_boxes(32, side, side, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), generator=generator())
    for image, crop, box in zip(images, found, boxes.int().tolist(), strict=True):
        expected = TF.resized_crop(image.float(), *box, [size, size], antialias=False)
        # At the border of the box bilinear reading takes in the pixel beside it, where torchvision repeats
        # the last one.
        rows, columns = (slice(2 * size // edge + 1, -2 * size // edge - 1) for edge in box[2:])
        difference = (crop.float() - expected)[:, rows, columns].abs()
        assert difference.numel() and difference.max() <= 1


@pytest.mark.parametrize("crop", ["pad", "resized"])
def test_weak_and_strong_views_have_the_size_that_is_seen(crop: Crop) -> None:
    images, wanted = noise(6), augmentation(24, crop)
    before = images.clone()
    views = wanted.views(images, ("weak", "strong"), generator())
    assert torch.equal(images, before)
    draws = generator()
    for name in ("weak", "strong"):
        seen = random_resized_crop(images, size=24, generator=draws) if crop == "resized" else images
        expected = flip_and_crop(seen, padding=0, size=24, generator=draws)
        if name == "strong":
            expected = cutout(RandAugment("torchssl", 1.0)(expected, generator=draws), generator=draws)
        assert views[name].shape == (6, 3, 24, 24)
        assert torch.equal(views[name], wanted.normalize(expected))


def test_a_stored_picture_smaller_than_what_is_seen_is_refused() -> None:
    assert augmentation(None).seen((3, 20, 30)) == (3, 20, 30)
    assert augmentation(24).seen((1, 28, 28)) == (1, 24, 24)
    with pytest.raises(UserError, match=r"to see 24x24 pixels, but images are stored at 28x20"):
        augmentation(24).seen((3, 28, 20))
