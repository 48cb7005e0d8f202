"""Datasets of PyTorch and torchvision as a data set."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from augmentations import augmentation_of
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset
from torchvision.datasets import FakeData, ImageFolder
from torchvision.transforms import v2

from ssl_mix import UserError
from ssl_mix.algorithms import FixMatch
from ssl_mix.datasets import (
    ResidentImages,
    StreamedImages,
    as_dataset,
    choose_split,
    load_digits_data,
    load_folder,
)
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.trainer import Trainer
from ssl_mix.models import build_model

REAL = Path(os.environ.get("SSL_MIX_DATA", "")) / "caltech50"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason="needs SSL_MIX_DATA")
FAKE = FakeData(24, (3, 16, 16), 3, random_offset=1)


class Listed(Dataset[Any]):
    """Items as they are in a list."""

    def __init__(self, items: list[Any], classes: Any = None) -> None:
        self.items = items
        if classes is not None:
            self.classes = classes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> Any:
        return self.items[index]


class Failing(Listed):
    def __getitem__(self, index: int) -> Any:
        if index == 2:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def pixels(images: Any) -> Tensor:
    return next(images.batches([torch.arange(len(images))], torch.device("cpu")))


def rgb(dataset: Any) -> Tensor:
    return torch.stack([torch.from_numpy(np.array(item[0])).permute(2, 0, 1) for item in dataset])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("budget", [None, 0])
def test_pillow_images_of_torchvision(workers: int, budget: int | None) -> None:
    data = as_dataset(FAKE, FakeData(5, (3, 16, 16), 3), FAKE, workers=workers, memory_budget=budget)
    kind = ResidentImages if budget is None else StreamedImages
    assert isinstance(data.train.images, kind) and data.train.images.shape == (3, 16, 16)
    expected = torch.cat([rgb(FAKE), rgb(FakeData(5, (3, 16, 16), 3))])
    assert torch.equal(pixels(data.train.images), expected)
    assert data.train.labels.tolist() == [int(label) for _, label in FAKE] + [-1] * 5
    assert (
        data.classes == ("0", "1", "2")
        and data.notes[0] == "the unlabeled images have labels, which are ignored"
    )


@pytest.mark.parametrize(
    "transform",
    [
        v2.PILToTensor(),
        v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
        np.array,
        lambda image: np.array(image) / 255,
    ],
    ids=["uint8", "float", "numpy", "numpy float"],
)
def test_arrays_in_items(transform: Any) -> None:
    dataset = FakeData(24, (3, 16, 16), 3, transform=transform, random_offset=1)
    assert torch.equal(pixels(as_dataset(dataset, workers=0).train.images), rgb(FAKE))


def test_images_of_any_size_are_resized_as_files_are(tmp_path: Path) -> None:
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for number in range(4):
            noise = np.random.default_rng([label, number]).integers(
                0, 256, (20 + number, 26, 3), dtype=np.uint8
            )
            exif = Image.Exif()
            exif[0x0112] = 6
            Image.fromarray(noise).save(tmp_path / name / f"{number}.png", exif=exif)
    expected = load_folder(tmp_path, image_size=16)
    opened = Listed([(Image.open(file), 0) for file in sorted(tmp_path.rglob("*.png"))])
    found = as_dataset(
        Listed([(i, int(n > 3)) for n, (i, _) in enumerate(opened.items)]), image_size=16, workers=0
    )
    assert torch.equal(pixels(found.train.images), pixels(expected.train.images))
    assert as_dataset(ImageFolder(tmp_path), image_size=16).classes == ("cat", "dog")


def test_gray_stays_gray_unless_one_image_has_colors() -> None:
    gray = [(Image.effect_noise((12, 12), 50), label % 2) for label in range(6)]
    assert as_dataset(Listed(gray)).train.images.shape == (1, 12, 12)
    assert as_dataset(Listed([*gray, (Image.new("RGB", (12, 12)), 0)])).train.images.shape == (3, 12, 12)


def test_classes_of_the_dataset_and_of_what_it_is_a_subset_of() -> None:
    images = [(np.full((8, 8), value, np.uint8), value % 2) for value in range(6)]
    dataset = Listed(images, classes=["cat", "dog"])
    assert as_dataset(dataset).classes == ("cat", "dog")
    assert as_dataset(Subset(Subset(dataset, range(5)), range(4))).classes == ("cat", "dog")
    assert as_dataset(dataset, classes=("a", "b")).classes == ("a", "b")
    assert as_dataset(Listed(images, classes=3)).classes == ("0", "1")


def test_tensor_datasets_and_unknown_labels() -> None:
    images = torch.arange(6 * 64, dtype=torch.uint8).view(6, 8, 8)
    data = as_dataset(TensorDataset(images, torch.tensor([0, 1, -1, 1, 0, -1])), TensorDataset(images))
    assert data.train.labels.tolist() == [0, 1, -1, 1, 0, -1] + [-1] * 6 and not data.notes
    assert torch.equal(pixels(data.train.images), images.repeat(2, 1, 1)[:, None])


def test_the_fingerprint_of_a_streamed_dataset_looks_at_64_images() -> None:
    def fingerprint(changed: int | None, label: int | None = None) -> str:
        items = [[np.full((8, 8), n % 200, np.uint8), n % 2] for n in range(128)]
        if changed is not None:
            items[changed][0] = np.zeros((8, 8), np.uint8) + 255
        if label is not None:
            items[label][1] = 1 - label % 2
        return as_dataset(Listed(items), memory_budget=0, workers=0).fingerprint()

    assert fingerprint(None) == fingerprint(None) == fingerprint(3)
    assert len({fingerprint(None), fingerprint(4), fingerprint(None, 3)}) == 3


def test_progress_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    as_dataset(FAKE, workers=0, progress=lambda *news: told.append(news))
    assert told == [("looking at labeled images", 24, 24), ("reading training images", 24, 24)]


IMAGE = np.zeros((8, 8), np.uint8)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Listed([]), "labeled: no image"),
        (Listed([IMAGE, IMAGE]), "labeled: expected images with labels, got images alone"),
        (Listed([(IMAGE, 0, 0)]), r"labeled, item 0: expected a torch.* of \(image, label\).* got 3 values"),
        (Listed([(IMAGE, 0), IMAGE]), "labeled: expected a torch.*, got 1 of 2 items with a label"),
        (Listed([(IMAGE, 0), {"picture": IMAGE}]), "labeled, item 1: expected an image .* got dict"),
        (
            Listed([(np.zeros((8, 8, 5), np.uint8), 0)]),
            r"labeled, item 0: expected images of shape \(H, W\).* got \(8, 8, 5\)",
        ),
        (
            Listed([(np.zeros(8, np.uint8), 0)]),
            r"labeled, item 0: expected an image .* got ndarray of shape \(8,\)",
        ),
        (Listed([(IMAGE - 0.5, 0)]), "labeled, item 0: expected floats in .* -0.5 to -0.5"),
        (Listed([(IMAGE, 0.5)]), "labeled, item 0: expected labels that are whole numbers or names, got 0.5"),
        (Listed([(IMAGE, torch.zeros(3))]), "labeled, item 0: expected labels .* of type Tensor"),
        (Failing([(IMAGE, 0)] * 4), "labeled, item 2: cannot be read: OSError: the disk is gone"),
    ],
)
def test_items_that_are_refused(dataset: Any, message: str, workers: int) -> None:
    with pytest.raises(UserError, match=message):
        as_dataset(dataset, workers=workers)


def test_a_dataset_without_a_length_is_refused() -> None:
    class Endless(IterableDataset[Any]):
        def __iter__(self) -> Any:
            yield IMAGE, 0

    with pytest.raises(
        UserError,
        match=r"labeled: expected a folder, .* got Endless: list\(...\) of it, or a Dataset with positions",
    ):
        as_dataset(Endless())


@pytest.mark.parametrize("budget", [None, 0])
def test_a_run_on_digits_given_as_a_dataset_is_that_on_digits(budget: int | None) -> None:
    """The same images, labels and augmentation in another form train the same network to the bit."""
    digits = load_digits_data()
    images, labels = pixels(digits.train.images), digits.train.labels
    given = as_dataset(TensorDataset(images, labels), memory_budget=budget, workers=1)
    given = dataclasses.replace(given, augmentation=digits.augmentation)
    assert augmentation_of(digits).mean == augmentation_of(as_dataset((images, labels))).mean
    trained = []
    for data in (digits, given):
        split = choose_split(data.train.labels, 10, per_class=2, seed=0, classes=data.classes)
        torch.manual_seed(0)
        net = build_model("small-cnn", 10, channels=1)
        trainer = Trainer(FixMatch(), net, data, split, TrainConfig(steps=3, batch_size=4, device="cpu"))
        list(trainer.fit())
        trained.append(torch.cat([weight.flatten() for weight in trainer.student.parameters()]))
    assert torch.equal(*trained)


@needs_data
def test_real_photographs_through_torchvision() -> None:
    names = sorted(entry.name for entry in (REAL / "test").iterdir())
    dataset = ImageFolder(REAL / "test")
    first = [index for index, (_, label) in enumerate(dataset.samples) if label < 3]
    found = as_dataset(Subset(dataset, first), classes=names[:3], image_size=64)
    files = [(path, label) for path, label in dataset.samples if label < 3]
    expected = as_dataset(files, classes=names[:3], image_size=64)
    assert torch.equal(found.train.labels, expected.train.labels) and found.classes == tuple(names[:3])
    difference = pixels(found.train.images).int() - pixels(expected.train.images).int()
    assert difference.abs().float().mean() < 2  # files may be reduced by the JPEG decoder first
