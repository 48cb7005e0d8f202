"""Random resized crops against torchvision's: the boxes' distribution, and the pixels of each box."""

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as TF

from ssl_mix.augment import Augmentation
from ssl_mix.augment.resized_crop import random_resized_crop, sample_boxes

RANGES = {"scale": (0.08, 1.0), "ratio": (3 / 4, 4 / 3)}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(count: int, height: int, width: int) -> torch.Tensor:
    noise = torch.rand(count, 3, 6, 6, generator=generator(3))
    large = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)
    return (255 * large).round().to(torch.uint8)


@pytest.mark.parametrize(("height", "width"), [(48, 48), (40, 64), (20, 100)])
def test_boxes_lie_inside_and_are_drawn_as_torchvisions(height: int, width: int) -> None:
    boxes = sample_boxes(4000, height, width, generator=generator(), **RANGES)
    top, left, h, w = boxes.unbind(1)
    assert (torch.stack((top, left, h - 1, w - 1)) >= 0).all()
    assert (top + h <= height).all() and (left + w <= width).all()
    torch.manual_seed(0)
    peer = v2.RandomResizedCrop(8, **RANGES)
    picture = torch.zeros(3, height, width)
    drawn = [peer.make_params([picture]) for _ in range(4000)]
    for name, values in (("top", top), ("left", left), ("height", h), ("width", w)):
        theirs = np.array([box[name] for box in drawn])
        assert stats.ks_2samp(values.numpy(), theirs).pvalue > 0.001, name


@pytest.mark.parametrize(("height", "width"), [(48, 48), (40, 64)])
def test_pixels_are_those_of_cutting_and_resizing_one_picture_at_a_time(height: int, width: int) -> None:
    images = smooth(32, height, width)
    found = random_resized_crop(images, generator=generator())
    boxes = sample_boxes(32, height, width, generator=generator(), **RANGES).int().tolist()
    for image, crop, box in zip(images, found, boxes, strict=True):
        expected = TF.resized_crop(image.float(), *box, [height, width], antialias=False)
        # At the border of the box bilinear reading takes in the pixel beside it, where torchvision repeats
        # the last one.
        inside = (
            slice(3 * height // box[2], -3 * height // box[2]),
            slice(3 * width // box[3], -3 * width // box[3]),
        )
        difference = (crop.float() - expected)[:, inside[0], inside[1]].abs()
        assert difference.numel() == 0 or difference.max() <= 1


def test_the_whole_picture_is_left_as_it_is() -> None:
    images = smooth(4, 16, 16)
    before = images.clone()
    crop = random_resized_crop(images, scale=(1.0, 1.0), ratio=(1.0, 1.0), generator=generator())
    assert torch.equal(crop, images) and torch.equal(images, before)


def test_each_picture_has_a_box_of_its_own_and_the_generator_decides() -> None:
    images = smooth(1, 32, 32).expand(8, -1, -1, -1)
    first, again, other = (random_resized_crop(images, generator=generator(seed)) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len(first.unique(dim=0)) == 8


def test_the_weak_view_crops_as_the_data_set_wants() -> None:
    images = smooth(8, 32, 32)
    views = {
        crop: Augmentation((0.5,) * 3, (0.25,) * 3, flip=False, crop=crop).views(
            images, ("weak",), generator()
        )["weak"]  # type: ignore[arg-type]
        for crop in ("pad", "resized")
    }
    plain = Augmentation((0.5,) * 3, (0.25,) * 3).normalize(images)
    resized = Augmentation((0.5,) * 3, (0.25,) * 3).normalize(
        random_resized_crop(images, generator=generator())
    )
    assert torch.equal(views["resized"], resized)
    assert not torch.equal(views["pad"], resized) and not torch.equal(views["pad"], plain)
