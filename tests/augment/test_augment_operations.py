"""Every image operation against Pillow's own, on photographs, with a magnitude of its own for each image."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images
from torch import Tensor

from ssl_mix.augment.apply import Choices, apply_choices
from ssl_mix.augment.pools import BLENDS, OPERATIONS

SIZES = [(32, 32), (24, 40), (33, 17), (64, 64)]
TINY = [(8, 8), (2, 3), (1, 1)]
COUNT = 60


@cache
def photographs(height: int, width: int, channels: int) -> Tensor:
    """Pieces of two photographs, with one flat and one two-valued image among them."""
    sources = [Image.fromarray(image) for image in load_sample_images().images]
    pieces = []
    for index in range(COUNT):
        left, top = (5 * index) % (640 - 3 * width), (7 * index) % (427 - 3 * height)
        box = (left, top, left + 3 * width, top + 3 * height)
        piece = sources[index % 2].crop(box).resize((width, height))
        pieces.append(np.array(piece.convert("RGB" if channels == 3 else "L")))
    images = torch.from_numpy(np.stack(pieces)).view(COUNT, height, width, channels)
    images = images.permute(0, 3, 1, 2).contiguous()
    images[3], images[4] = 77, 200
    images[4, :, ::3] = 10
    return images


def transform(picture: Image.Image, *matrix: float) -> Image.Image:
    return picture.transform(picture.size, Image.Transform.AFFINE, matrix)


PILLOW: dict[str, tuple[Callable[[Image.Image, float], Image.Image], float, float]] = {
    "identity": (lambda p, v: p, 0, 0),
    "posterize": (lambda p, v: ImageOps.posterize(p, int(v)), 1, 8),
    "solarize": (lambda p, v: ImageOps.solarize(p, v), 0, 256),
    "equalize": (lambda p, v: ImageOps.equalize(p), 0, 0),
    "brightness": (lambda p, v: ImageEnhance.Brightness(p).enhance(v), 0.05, 1.9),
    "autocontrast": (lambda p, v: ImageOps.autocontrast(p), 0, 0),
    "contrast": (lambda p, v: ImageEnhance.Contrast(p).enhance(v), 0.05, 1.9),
    "color": (lambda p, v: ImageEnhance.Color(p).enhance(v), 0.05, 1.9),
    "sharpness": (lambda p, v: ImageEnhance.Sharpness(p).enhance(v), 0.05, 1.9),
    "rotate": (lambda p, v: p.rotate(v), -30, 30),
    "shear_x": (lambda p, v: transform(p, 1, v, 0, 0, 1, 0), -0.3, 0.3),
    "shear_y": (lambda p, v: transform(p, 1, 0, 0, v, 1, 0), -0.3, 0.3),
    "translate_x": (lambda p, v: transform(p, 1, 0, v, 0, 1, 0), -9.6, 9.6),
    "translate_y": (lambda p, v: transform(p, 1, 0, 0, 0, 1, v), -9.6, 9.6),
}


def magnitudes(name: str) -> Tensor:
    """Over the whole range of the operation, both ends and the middle included."""
    _, low, high = PILLOW[name]
    values = torch.linspace(low, high, COUNT + 1, dtype=torch.float64)[torch.arange(COUNT + 1) != 10]
    return values.floor() if name == "posterize" else values


def by_pillow(image: Tensor, name: str, value: float) -> Tensor:
    array = image.permute(1, 2, 0).numpy()
    altered = np.array(
        PILLOW[name][0](Image.fromarray(array if array.shape[2] == 3 else array[:, :, 0]), value)
    )
    return torch.from_numpy(altered.reshape(array.shape)).permute(2, 0, 1)


def differences(images: Tensor, names: list[str], values: Tensor) -> Tensor:
    """Gray levels between this package, all images at once, and Pillow, one after the other."""
    before = images.clone()
    operation = torch.tensor([[OPERATIONS.index(name) for name in names]])
    result = apply_choices(images, Choices(operation, values[None]))
    assert result.dtype == torch.uint8 and torch.equal(images, before)
    expected = [by_pillow(*task) for task in zip(images, names, values.tolist(), strict=True)]
    return (result.int() - torch.stack(expected).int()).abs()


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_equal_pillow(name: str, channels: int, size: tuple[int, int]) -> None:
    difference = differences(photographs(*size, channels), [name] * COUNT, magnitudes(name))
    # Pillow rounds autocontrast and the enhancers in float64 or in another order.
    assert difference.max() <= (1 if name in BLENDS else 0)
    assert (difference > 0).float().mean() < (0.005 if name == "autocontrast" else 0.0005)


@pytest.mark.parametrize("size", TINY, ids=str)
@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_on_tiny_pictures_equal_pillow(name: str, size: tuple[int, int]) -> None:
    difference = differences(photographs(*size, 3), [name] * COUNT, magnitudes(name))
    assert difference.max() <= (1 if name in BLENDS else 0)


@pytest.mark.parametrize("channels", [1, 3])
def test_operations_mixed_in_one_batch_equal_pillow(channels: int) -> None:
    names = [OPERATIONS[(5 * i) % len(OPERATIONS)] for i in range(COUNT)]
    values = torch.stack([magnitudes(name)[i] for i, name in enumerate(names)])
    difference = differences(photographs(32, 32, channels), names, values)
    assert difference.max() <= 1 and (difference > 0).float().mean() < 0.0005


def test_draws_follow_one_another() -> None:
    """Three draws at once against Pillow's operations in that order; whole numbers, so that no rounding is
    carried on."""
    images, order = (
        photographs(32, 32, 3),
        ("solarize", "rotate", "posterize", "shear_y", "identity", "equalize"),
    )
    operation = torch.tensor(
        [[OPERATIONS.index(order[(i + d * (1 + i % 5)) % 6]) for i in range(COUNT)] for d in range(3)]
    )
    magnitude = torch.tensor(
        [[{"rotate": 20, "shear_y": 0.25}.get(OPERATIONS[o], 5) for o in row] for row in operation]
    )
    result = apply_choices(images, Choices(operation, magnitude.double()))
    for i, expected in enumerate(images):
        for o, value in zip(operation[:, i].tolist(), magnitude[:, i].tolist(), strict=True):
            expected = by_pillow(expected, OPERATIONS[o], value)
        assert torch.equal(result[i], expected)
