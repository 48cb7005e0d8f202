"""Data sets as values: what is checked, and what the fingerprint sees."""

from pathlib import Path

import pytest
import torch
from PIL import Image

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages
from ssl_mix.datasets.pixel_statistics import channel_statistics
from ssl_mix.errors import UserError


def pictures(count: int = 4, size: int = 8) -> ResidentImages:
    return ResidentImages(torch.zeros(count, 1, size, size, dtype=torch.uint8))


def data_set(
    name: str = "a",
    classes: tuple[str, ...] = ("cat", "dog"),
    labels: tuple[int, ...] = (0, 1, 0, -1),
    files: tuple[str, ...] | None = None,
    size: int = 8,
    test_labels: tuple[int, ...] | None = None,
    notes: tuple[str, ...] = (),
) -> DataSet:
    train = ImageSet(pictures(len(labels), size), torch.tensor(labels), files)
    test = None if test_labels is None else ImageSet(pictures(len(test_labels)), torch.tensor(test_labels))
    return DataSet(name, classes, train, test, Augmentation(mean=(0.5,), std=(0.25,)), notes)


def test_the_fingerprint_is_the_same_for_the_same_data() -> None:
    assert data_set().fingerprint() == data_set(notes=("something",)).fingerprint()
    assert len(data_set().fingerprint()) == 64


@pytest.mark.parametrize(
    "other",
    [
        {"name": "b"},
        {"classes": ("cat", "cow")},
        {"labels": (0, 1, 1, -1)},
        {"labels": (0, 1, 0, -1, -1)},
        {"size": 16},
        {"test_labels": (0, 1)},
        {"files": ("1", "2", "3", "4")},
    ],
)
def test_the_fingerprint_sees(other: dict[str, object]) -> None:
    assert data_set().fingerprint() != data_set(**other).fingerprint()  # type: ignore[arg-type]


def test_the_fingerprint_sees_names_and_sizes_of_files(tmp_path: Path) -> None:
    names = tuple(str(tmp_path / f"{number}.png") for number in range(5))
    for name in names:
        Image.new("L", (8, 8)).save(name)
    first = data_set(files=names[:4]).fingerprint()
    assert first == data_set(files=names[:4]).fingerprint()
    assert first != data_set(files=names[1:]).fingerprint()
    Image.new("L", (32, 32)).save(names[0])
    assert first != data_set(files=names[:4]).fingerprint()


def test_lengths_must_agree() -> None:
    with pytest.raises(UserError, match=r"equally many, got \[4, 3\]"):
        ImageSet(pictures(4), torch.tensor([0, 1, 0]))
    with pytest.raises(UserError, match=r"equally many, got \[2, 2, 1\]"):
        ImageSet(pictures(2), torch.tensor([0, 1]), ("a.png",))


def test_labels_must_be_integers() -> None:
    with pytest.raises(UserError, match="int64 on the CPU, got 1 dimensions of torch.float32"):
        ImageSet(pictures(2), torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize("count", [7, 2000])
def test_statistics_are_those_of_float64(count: int) -> None:
    images = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.manual_seed(0))
    images[:, 1] //= 3
    pixels = images.double() / 255
    mean, std = channel_statistics(ResidentImages(images))
    assert mean == tuple(pixels.mean((0, 2, 3)).numpy().round(3))
    assert std == tuple(pixels.std((0, 2, 3), correction=0).numpy().round(3))


def test_statistics_of_many_pictures_look_at_2000_evenly_spaced_ones() -> None:
    images = torch.zeros(4000, 1, 8, 8, dtype=torch.uint8)
    images[::2] = 255
    assert channel_statistics(ResidentImages(images)) == ((1.0,), (0.001,))
