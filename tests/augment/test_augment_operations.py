"""Every picture operation against Pillow's own, on photographs, with a magnitude of its own for each picture."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from sklearn.datasets import load_sample_images
from torch import Tensor

from ssl_mix.augment import operations
from ssl_mix.augment.randaugment import OPERATIONS, affine_matrices

SIZES = [(32, 32), (24, 40), (33, 17)]
COUNT = 40


def photographs(height: int, width: int, channels: int = 3) -> Tensor:
    """Pieces of two photographs, with one flat and one two-valued picture among them."""
    pieces = []
    for index in range(COUNT):
        picture = Image.fromarray(load_sample_images().images[index % 2])
        left, top = 13 * index, 7 * index
        piece = picture.crop((left, top, left + 3 * width, top + 3 * height)).resize((width, height))
        pieces.append(np.array(piece.convert("RGB" if channels == 3 else "L")))
    images = torch.from_numpy(np.stack(pieces))
    images = images.permute(0, 3, 1, 2).contiguous() if channels == 3 else images[:, None]
    images[3], images[4] = 77, 200
    images[4, :, ::3] = 10
    return images


def by_pillow(images: Tensor, alter: Callable[[Image.Image, float], Image.Image], values: Tensor) -> Tensor:
    """The same with Pillow, one picture after the other."""
    altered = []
    for image, value in zip(images, values.tolist(), strict=True):
        array = image.permute(1, 2, 0).numpy()
        picture = Image.fromarray(array if array.shape[2] == 3 else array[:, :, 0])
        result = np.array(alter(picture, value))
        altered.append(result.transpose(2, 0, 1) if result.ndim == 3 else result[None])
    return torch.from_numpy(np.stack(altered))


def spread(low: float, high: float) -> Tensor:
    return torch.linspace(low, high, COUNT)


POINTWISE = {
    "brightness": (
        operations.brightness,
        lambda p, v: ImageEnhance.Brightness(p).enhance(v),
        spread(0.0, 1.95),
    ),
    "color": (operations.color, lambda p, v: ImageEnhance.Color(p).enhance(v), spread(0.0, 1.95)),
    "contrast": (operations.contrast, lambda p, v: ImageEnhance.Contrast(p).enhance(v), spread(0.0, 1.95)),
    "sharpness": (operations.sharpness, lambda p, v: ImageEnhance.Sharpness(p).enhance(v), spread(0.0, 1.95)),
    "posterize": (
        operations.posterize,
        lambda p, v: ImageOps.posterize(p, int(v)) if v else Image.new(p.mode, p.size),
        torch.arange(COUNT).float() % 9,
    ),
    "solarize": (operations.solarize, lambda p, v: ImageOps.solarize(p, v), spread(0.0, 256.0)),
    "autocontrast": (
        lambda x, _: operations.autocontrast(x),
        lambda p, _: ImageOps.autocontrast(p),
        spread(0, 1),
    ),
    "equalize": (lambda x, _: operations.equalize(x), lambda p, _: ImageOps.equalize(p), spread(0, 1)),
}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", list(POINTWISE))
def test_pointwise_operations_equal_pillow(name: str, channels: int, size: tuple[int, int]) -> None:
    operation, alter, values = POINTWISE[name]
    images = photographs(*size, channels)
    before = images.clone()
    result = operation(images, values)
    assert result.dtype == torch.uint8 and torch.equal(images, before)
    difference = (result.int() - by_pillow(images, alter, values).int()).abs()
    assert difference.max() <= 1
    # Only where a product falls on a whole number may the last bit of a float decide.
    assert (difference > 0).float().mean() < 0.002


def pillow_affine(name: str) -> Callable[[Image.Image, float], Image.Image]:
    def transform(*matrix: float) -> Callable[[Image.Image], Image.Image]:
        return lambda picture: picture.transform(picture.size, Image.Transform.AFFINE, matrix)

    matrices = {
        "shear_x": lambda v: transform(1, v, 0, 0, 1, 0),
        "shear_y": lambda v: transform(1, 0, 0, v, 1, 0),
        "translate_x": lambda v: transform(1, 0, v, 0, 1, 0),
        "translate_y": lambda v: transform(1, 0, 0, 0, 1, v),
    }
    if name == "rotate":
        return lambda picture, value: picture.rotate(value)
    return lambda picture, value: matrices[name](value)(picture)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("name", "limit"),
    [("rotate", 29.7), ("shear_x", 0.3), ("shear_y", 0.3), ("translate_x", 9.6), ("translate_y", 9.6)],
)
def test_geometry_equals_pillow(name: str, limit: float, size: tuple[int, int]) -> None:
    """Away from 30 degrees, whose sine of one half puts samples on the borders between pixels."""
    images = photographs(*size)
    values = torch.linspace(-limit, limit, COUNT, dtype=torch.float64) + 1e-4
    kinds = torch.full((COUNT,), OPERATIONS.index(name))
    result = operations.affine(images, affine_matrices(kinds, values, *size).float())
    differs = (result != by_pillow(images, pillow_affine(name), values)).any(dim=1)
    assert differs.float().mean() < 0.0005


def test_geometry_of_mixed_kinds_in_one_batch() -> None:
    images = photographs(32, 32)
    names = ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"]
    kinds = torch.tensor([OPERATIONS.index(names[i % 5]) for i in range(COUNT)])
    values = torch.full((COUNT,), 0.21, dtype=torch.float64)
    together = operations.affine(images, affine_matrices(kinds, values, 32, 32).float())
    for i in range(COUNT):
        alone = operations.affine(
            images[i : i + 1], affine_matrices(kinds[i : i + 1], values[i : i + 1], 32, 32).float()
        )
        assert torch.equal(alone[0], together[i])
