"""Faults that users of other packages reported, tried here; the log is README.md beside this file."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset
from torchvision.transforms import v2

import ssl_mix
from ssl_mix import UserError
from ssl_mix.datasets import as_dataset

QUICK: dict[str, Any] = {"steps": 2, "threads": 1, "net": "small-cnn", "image_size": 8}


def shades(labels: Tensor) -> Tensor:
    """An image of one shade for each label, (N, 1, 8, 8) uint8, with a dot that tells left from right."""
    images = (20 * labels).view(-1, 1, 1, 1).repeat(1, 1, 8, 8).to(torch.uint8)
    images[:, :, 4, 1] = 255
    return images


class Named(TensorDataset):
    """Images and whole numbers, whose names are in ``classes``, as torchvision's ``ImageFolder`` has them."""

    def __init__(self, labels: Tensor, classes: tuple[str, ...]) -> None:
        super().__init__(shades(labels), labels)
        self.classes = classes


class Drawing(TensorDataset):
    """Items that a transform changes whenever they are asked for."""

    transform: Callable[[Tensor], Tensor]

    def __getitem__(self, position: int) -> tuple[Tensor, ...]:
        image, *labels = super().__getitem__(position)
        return self.transform(image), *labels


def rolled(image: Tensor) -> Tensor:
    return image.roll(int(np.random.randint(8)), -1)


def test_a_test_dataset_without_a_class_keeps_the_names_of_the_others() -> None:
    train = Named(torch.arange(6) % 3, ("a", "b", "c"))
    test = Named(torch.tensor([0, 1, 1]), ("a", "c"))
    data = as_dataset(train, None, test)
    assert data.test is not None
    assert [data.classes[label] for label in data.test.labels] == ["a", "c", "c"]
    trained = ssl_mix.fit("supervised", train, None, test, batch_size=2, **QUICK)
    predicted = trained.predict(shades(torch.tensor([0, 1, 1])))
    right = sum(name == true for name, true in zip(predicted, ("a", "c", "c"), strict=True))
    assert trained.evaluate(test).accuracy == pytest.approx(right / 3)


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_that_name_one_class_and_count_another_are_refused(first: int) -> None:
    labels = torch.arange(11) + first
    names = [str(int(label)) for label in labels]
    train = Named(torch.arange(11), tuple(sorted(names)))  # "0", "1", "10", "2", as folders are sorted
    by_name = [train.classes[position] for position in range(11)]
    in_text = (shades(torch.arange(11)), by_name)
    with pytest.raises(
        UserError, match=r"test: label \d+ is the name of one class and the number of another"
    ):
        as_dataset((in_text[0], by_name), None, (shades(labels), labels), classes=train.classes)
    data = as_dataset(train, None, (shades(labels), names))
    assert data.test is not None
    assert [data.classes[label] for label in data.test.labels] == names
    numbered = as_dataset(
        train, None, (shades(torch.arange(11)), torch.arange(11))
    )  # as the labeled ones are
    assert numbered.test is not None and numbered.test.labels.tolist() == list(range(11))


@pytest.mark.parametrize("part", ["labeled", "unlabeled", "test"])
@pytest.mark.parametrize("transform", [rolled, v2.RandomHorizontalFlip(), v2.RandomCrop(8, padding=1)])
def test_a_dataset_that_draws_at_random_is_refused(part: str, transform: Callable[[Tensor], Tensor]) -> None:
    labels = torch.arange(12) % 2
    fixed = (shades(labels), labels)
    drawing = Drawing(*fixed)
    drawing.transform = transform
    parts: dict[str, Any] = {"labeled": fixed} | {part: drawing}
    with pytest.raises(UserError, match=rf"{part}, item \d: is another image when it is asked for again"):
        as_dataset(**parts, workers=0)
    drawing.transform = lambda image: image.flip(-1)
    as_dataset(**parts, workers=0)


@pytest.mark.parametrize("sizes", [{"batch_size": 1}, {"batch_size": 4, "accumulate": 4}])
def test_one_image_for_batch_norm_is_refused_in_a_sentence(sizes: dict[str, int]) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    labels = torch.arange(4) % 2
    with pytest.raises(UserError, match="one image passes the network at a time: raise `batch_size`"):
        ssl_mix.fit("supervised", (shades(labels), labels), **QUICK | {"net": net}, **sizes)


def test_every_test_that_the_log_names_is_there() -> None:
    here = Path(__file__).parent
    log = (here / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:\w+/)?test_\w+\.py)::(test_\w+)`", log)
    assert len(named) >= 30
    for file, test in named:
        assert f"def {test}(" in (here.parent / file).read_text(encoding="utf-8"), (file, test)
