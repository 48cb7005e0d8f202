"""Data sets as values: what is checked, and what the fingerprint sees."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages, as_dataset, choose_split
from ssl_mix.datasets.pixel_statistics import channel_statistics
from ssl_mix.errors import UserError
from ssl_mix.evaluation import accuracy, mean_class_accuracy


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
    with pytest.raises(UserError, match="equally many, got 4 images, 3 labels"):
        ImageSet(pictures(4), torch.tensor([0, 1, 0]))
    with pytest.raises(UserError, match="got 2 images, 2 labels, 1 files"):
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


def test_labels_that_are_no_class_are_refused_wherever_they_come_in() -> None:
    """A test label that is none of the classes would be an accuracy of 0, in silence."""
    three = ("a", "b", "c")
    words = r"test images: expected labels from 0 to 2 \(3 classes\), got 5 at position 1, and 2 such in all"
    with pytest.raises(UserError, match=words):
        data_set(classes=three, test_labels=(0, 5, 3))
    with pytest.raises(UserError, match=r"got -1 at position 0.*leave out images without a label"):
        data_set(test_labels=(-1, 0))
    with pytest.raises(UserError, match=r"images to learn from: .* or -1 where unknown, got 3 at position 2"):
        data_set(classes=three, labels=(0, 1, 3))
    with pytest.raises(UserError, match="got -2 at position 1"):
        data_set(labels=(0, -2))
    with pytest.raises(UserError, match="got 2 at position 3"):
        choose_split(torch.tensor([0, 1, 0, 2]), 2, per_class=1, seed=0, classes=("a", "b"))
    with pytest.raises(UserError, match=r"classes must be 2 names \(num_classes\), got 3"):
        choose_split(torch.tensor([0, 1]), 2, seed=0, classes=three)


@pytest.mark.parametrize("measure", [accuracy, mean_class_accuracy])
def test_measures_refuse_labels_that_are_no_class(measure: Callable[[Tensor, Tensor], float]) -> None:
    with pytest.raises(UserError, match=r"labels: expected labels from 0 to 2 \(3 classes\), got 5"):
        measure(torch.eye(3), torch.tensor([0, 5, 2]))
    with pytest.raises(
        UserError, match=r"expected probabilities float \(N, C\) and labels int64 \(N,\), got .*\(1,\)"
    ):
        measure(torch.eye(3), torch.tensor([0]))


@pytest.mark.parametrize(
    "test",
    [
        (np.zeros((2, 8, 8), np.uint8), np.array([0, 5])),
        [(torch.zeros(8, 8, dtype=torch.uint8), 0), (torch.zeros(8, 8, dtype=torch.uint8), 5)],
    ],
    ids=["arrays", "a dataset"],
)
def test_test_sets_of_every_form_refuse_them_too(test: Any) -> None:
    given = test if isinstance(test, tuple) else _Items(test)
    with pytest.raises(UserError, match="test: label 5 is out of range, expected one of the 3 classes"):
        as_dataset((np.zeros((3, 8, 8), np.uint8), np.array([0, 1, 2])), test=given, workers=0)


class _Items(Dataset[Any]):
    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, position: int) -> Any:
        return self.items[position]


@pytest.mark.parametrize("labels", [[0, 1], None, "01"])
def test_labels_that_are_no_tensor_are_refused_by_name(labels: Any) -> None:
    with pytest.raises(UserError, match="labels must be a tensor of int64, got "):
        ImageSet(ResidentImages(torch.zeros(2, 3, 8, 8, dtype=torch.uint8)), labels)


def test_images_and_labels_without_numbers_are_refused_by_name() -> None:
    images, labels = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4) % 2
    for odd in (images.to("meta"), images.to_sparse()):
        with pytest.raises(UserError, match="images: expected a tensor with its numbers"):
            ResidentImages(odd)
    for wrong in ([images], None, "images"):
        with pytest.raises(UserError, match="images: expected an array or a tensor, got "):
            ResidentImages(wrong)
    for odd in (labels.to("meta"), labels.to_sparse()):
        with pytest.raises(UserError, match="labeled: expected labels that are there"):
            as_dataset((images, odd))
