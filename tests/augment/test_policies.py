"""TrivialAugment and AugMix, and what CTAugment has beside the operations of RandAugment."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from sklearn.datasets import load_sample_images
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import TrivialAugmentWide

from ssl_mix.augment import AugMix, TrivialAugment
from ssl_mix.augment.apply import Choices, apply_choices, magnitudes, ranges_in_pixels
from ssl_mix.augment.augmix import NAMES
from ssl_mix.augment.pools import BLENDS, EVERY, OPERATIONS
from ssl_mix.augment.trivial import RANGES as WIDE
from ssl_mix.augment.views import Augmentation
from ssl_mix.errors import UserError

SIDE, LEVELS = 32, 31
PLAIN = {name: name.title().replace("_", "") for name in OPERATIONS} | {"autocontrast": "AutoContrast"}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photographs(count: int) -> Tensor:
    picture = torch.from_numpy(np.array(load_sample_images().images[0])).permute(2, 0, 1)
    return torch.stack([picture[:, 3 * i : 3 * i + SIDE, 9 * i : 9 * i + SIDE] for i in range(count)])


def picture_of(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def tensor_of(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def in_their_terms(name: str, magnitude: Tensor) -> Tensor:
    """Magnitudes of ours as torchvision has them."""
    if name in ("brightness", "contrast", "color", "sharpness"):
        return magnitude - 1
    moved = name.startswith("translate")  # to the other side there
    return {"solarize": magnitude / 255, "posterize": 8 - (8 - magnitude).floor()}.get(
        name, -magnitude if moved else magnitude
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_trivial_does_what_torchvision_does_at_every_level(name: str) -> None:
    images, level = photographs(LEVELS), torch.arange(LEVELS, dtype=torch.float64) / (LEVELS - 1)
    ranges = ranges_in_pixels(WIDE, 1.0, SIDE, SIDE)[OPERATIONS.index(name)].expand(LEVELS, 4)
    sign = torch.full((LEVELS,), 0.0 if name.startswith("translate") else 1.0)
    magnitude, theirs = magnitudes(ranges, level, sign), TrivialAugmentWide()
    operation = torch.full((1, LEVELS), OPERATIONS.index(name))
    found = apply_choices(images, Choices(operation, magnitude[None]))
    strengths, values = theirs._AUGMENTATION_SPACE[PLAIN[name]][0], in_their_terms(name, magnitude)
    if (given := strengths(LEVELS, SIDE, SIDE)) is not None:
        torch.testing.assert_close(given.double(), values, atol=0.99 if "translate" in name else 1e-5, rtol=0)
    for image, value, ours in zip(images, values.tolist(), found, strict=True):
        picture, nearest = picture_of(image), InterpolationMode.NEAREST
        altered: Any = theirs._apply_image_or_video_transform(picture, PLAIN[name], value, nearest, {})  # type: ignore[arg-type,type-var]
        difference = (tensor_of(altered).int() - ours.int()).abs()
        assert difference.max() <= (1 if name in BLENDS else 0)


def test_trivial_draws_each_operation_and_level_as_often() -> None:
    choices = TrivialAugment().sample(40_000, SIDE, SIDE, seeded())
    assert choices.operation.shape == (1, 40_000)
    shares = choices.operation.flatten().bincount(minlength=14) / 40_000
    torch.testing.assert_close(shares, torch.full((14,), 1 / 14), atol=0.006, rtol=0)
    angles = choices.magnitude[choices.operation == OPERATIONS.index("rotate")]
    steps, counts = (angles.abs() / 135 * 30).round().unique(return_counts=True)
    assert steps.tolist() == list(range(31))
    assert counts.min() > 50 and abs((angles < 0).float().mean() - 0.5) < 0.05
    small = TrivialAugment(0.5).sample(9_000, 8, 64, seeded())
    reach = [small.magnitude[small.operation == OPERATIONS.index(f"translate_{x}")].abs().max() for x in "xy"]
    assert reach == [16, 4]  # at most 32 pixels, and not beyond the side


def test_augmix_blends_the_image_with_chains() -> None:
    images, policy = photographs(12), AugMix()
    before, found = images.clone(), policy(images, generator=seeded(3))
    choices, weights = policy.sample(12, SIDE, SIDE, seeded(3))
    assert torch.equal(images, before) and found.dtype == torch.uint8
    for index in range(12):
        total = weights[0, index].double() * images[index]
        for chain in range(3):
            image, row = images[index : index + 1], 12 * chain + index
            for operation, magnitude in zip(*(part[:, row] for part in choices[:2]), strict=True):
                image = apply_choices(image, Choices(operation.view(1, 1), magnitude.view(1, 1)))
            total += weights[1 + chain, index].double() * image[0]
        assert (found[index] - total).abs().max() < 0.501


def test_augmix_draws_as_the_paper_says() -> None:
    choices, weights = AugMix().sample(20_000, SIDE, SIDE, seeded(1))
    torch.testing.assert_close(weights.sum(0), torch.ones(20_000))
    torch.testing.assert_close(weights.mean(1), torch.tensor([1 / 2] + [1 / 6] * 3), atol=0.01, rtol=0)
    used = choices.operation != OPERATIONS.index("identity")
    torch.testing.assert_close(used.float().mean(1), torch.tensor([1, 2 / 3, 1 / 3]), atol=0.01, rtol=0)
    assert set(choices.operation.unique().tolist()) == {OPERATIONS.index(n) for n in (*NAMES, "identity")}
    largest = {
        name: choices.magnitude[choices.operation == OPERATIONS.index(name)].abs().max().item()
        for name in ("rotate", "translate_x")
    }
    assert largest == {"rotate": 8, "translate_x": 3}  # int(0.3 * 30), and of a third of 32


def by_degrees(name: str, picture: Image.Image, degree: float) -> Image.Image:
    """As the published code of CTAugment."""
    other = {
        "smooth": lambda: picture.filter(ImageFilter.SMOOTH),
        "blur": lambda: picture.filter(ImageFilter.BLUR),
        "flatten": lambda: ImageOps.equalize(picture),
        "invert": lambda: ImageOps.invert(picture),
        "autocontrast": lambda: ImageOps.autocontrast(picture),
    }
    return Image.blend(picture, other[name](), degree)


@pytest.mark.parametrize("name", ["smooth", "blur", "flatten", "invert", "autocontrast"])
def test_filters_by_degrees_equal_pillow(name: str) -> None:
    images, degree = photographs(9), torch.linspace(0, 1, 9, dtype=torch.float64)
    operation = torch.full((1, 9), EVERY.index(name))
    found = apply_choices(images, Choices(operation, 1 - degree[None]))
    for index, image in enumerate(images):
        expected = tensor_of(by_degrees(name, picture_of(image), degree[index].item()))
        difference = (expected.int() - found[index].int()).abs()
        assert difference.max() <= 1
        assert (difference > 0).float().mean() < (0.1 if name == "autocontrast" else 0.01)


def test_rescale_shows_the_center_larger() -> None:
    images, margin = photographs(5), torch.linspace(0, 0.25, 5, dtype=torch.float64)
    operation = torch.full((1, 5), EVERY.index("rescale"))
    found = apply_choices(images, Choices(operation, margin[None]))
    assert torch.equal(found[0], images[0])
    for index, cut in enumerate((margin * SIDE).tolist()):
        box = (cut, cut, SIDE - cut, SIDE - cut)
        expected = picture_of(images[index]).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
        inner = (tensor_of(expected).int() - found[index].int()).abs()[:, 2:-2, 2:-2]
        assert inner.max() <= 2  # rounded between columns and rows there


def test_cutout_hides_a_square_of_its_share() -> None:
    images, share = photographs(4), torch.tensor([[0.0, 0.25, 0.5, 0.5]], dtype=torch.float64)
    place = torch.tensor([[[0.5, 0.5, 0.5, 0.0]], [[0.5, 0.5, 0.25, 1.0]]])  # rows, then columns
    found = apply_choices(images, Choices(torch.full((1, 4), EVERY.index("cutout")), share, place))
    for index, box in enumerate([(0, 0, 0, 0), (12, 20, 12, 20), (8, 24, 0, 16), (0, 8, 24, 32)]):
        expected = images[index].clone()
        expected[:, box[0] : box[1], box[2] : box[3]] = 127
        assert torch.equal(found[index], expected)


@pytest.mark.parametrize("policy", ["trivial", "augmix", "ctaugment"])
def test_a_policy_has_its_say_in_strong_views_alone(policy: str) -> None:
    plain, other = (Augmentation((0.5,) * 3, (0.2,) * 3, policy=name) for name in ("randaugment", policy))  # type: ignore[arg-type]
    images = photographs(6)
    if policy == "ctaugment":
        with pytest.raises(UserError, match="ctaugment learns its strengths"):
            other.views(images, ("strong",), seeded())
        return
    for view in ("plain", "weak", "medium", "strong"):
        same = torch.equal(*(a.views(images, (view,), seeded(2))[view] for a in (plain, other)))
        assert same is (view in ("plain", "weak"))
