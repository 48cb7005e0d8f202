"""Stanford-Cars, FGVC-Aircraft, Oxford-IIIT Pet and Flowers-102 from files in their authors' layouts, small
copies made here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from augmentations import augmentation_of
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from ssl_mix.datasets import DATASETS, FINE_GRAINED, ImageSet
from ssl_mix.errors import UserError
from ssl_mix.runs.data_options import DataOptions

# Shade and label in the order of the files' lines. Pets and flowers count their classes from 1.
TRAIN = [(30, 1), (50, 0), (70, 2), (90, 0), (110, 1), (130, 2)]
TEST = [(150, 2), (170, 0), (190, 1)]
FOLDERS = {
    "stanford-cars": "stanford_cars",
    "fgvc-aircraft": "fgvc-aircraft-2013b",
    "oxford-pets": "oxford-iiit-pet",
    "oxford-flowers": "flowers-102",
}
CLASSES = {
    "stanford-cars": ("AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Ram C/V Cargo Van 2012"),
    "fgvc-aircraft": ("707-320", "Beechcraft 1900", "F/A-18"),
    "oxford-pets": ("Abyssinian", "American Bulldog", "Beagle"),
    "oxford-flowers": ("pink primrose", "hard-leaved pocket orchid", "canterbury bells"),
}


def save(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), (shade, shade, shade)).save(path, quality=95)


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def make_cars(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "devkit").mkdir(parents=True)
    savemat(
        folder / "devkit" / "cars_meta.mat", {"class_names": np.array(CLASSES["stanford-cars"], dtype=object)}
    )
    kind = [(name, object) for name in ("bbox_x1", "class", "fname")]
    places = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
    for part, pictures in (("train", TRAIN), ("test", TEST)):
        rows = [(3, np.uint8(label + 1), f"{i:05d}.jpg") for i, (_, label) in enumerate(pictures, 1)]
        savemat(folder / places[part], {"annotations": np.array(rows, dtype=kind)})
        for i, (shade, _) in enumerate(pictures, 1):
            save(folder / f"cars_{part}" / f"{i:05d}.jpg", shade)


def make_aircraft(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = CLASSES["fgvc-aircraft"]
    write(folder / "data" / "variants.txt", *names)
    for part, pictures in (("trainval", TRAIN), ("test", TEST)):
        lines = [f"{shade:07d} {names[label]}" for shade, label in pictures]
        write(folder / "data" / f"images_variant_{part}.txt", *lines)
        for shade, _ in pictures:
            save(folder / "data" / "images" / f"{shade:07d}.jpg", shade)


def make_pets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("Abyssinian", "american_bulldog", "beagle")
    for part, pictures in (("trainval", TRAIN), ("test", TEST)):
        lines = [f"{names[label]}_{shade} {label + 1} 1 1" for shade, label in pictures]
        write(folder / "annotations" / f"{part}.txt", *lines)
        for shade, label in pictures:
            save(folder / "images" / f"{names[label]}_{shade}.jpg", shade)


def make_flowers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training part is "train", the first four images, and behind it "val"."""
    folder.mkdir(parents=True)
    pictures = [*TEST, *TRAIN]
    savemat(
        folder / "imagelabels.mat", {"labels": np.array([label + 1 for _, label in pictures], dtype=np.uint8)}
    )
    parts = {"tstid": [1, 2, 3], "trnid": [4, 5, 6, 7], "valid": [8, 9]}
    savemat(
        folder / "setid.mat", {name: np.array(numbers, dtype=np.uint16) for name, numbers in parts.items()}
    )
    for number, (shade, _) in enumerate(pictures, 1):
        save(folder / "jpg" / f"image_{number:05d}.jpg", shade)
    unchecked = {key: (file, None) for key, (file, _) in datasets.Flowers102._file_dict.items()}
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", unchecked)


MAKERS: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "stanford-cars": make_cars,
    "fgvc-aircraft": make_aircraft,
    "oxford-pets": make_pets,
    "oxford-flowers": make_flowers,
}


@pytest.fixture(params=MAKERS)
def name(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A data set whose files are in ``tmp_path``."""
    MAKERS[request.param](tmp_path / FOLDERS[request.param], monkeypatch)
    return str(request.param)


def contents(part: ImageSet | None) -> list[tuple[int, int]]:
    """Shade and label of each image."""
    assert part is not None and part.files is not None and all(Path(file).is_file() for file in part.files)
    images = next(iter(part.images.batches([torch.arange(len(part.images))], torch.device("cpu"))))
    assert (images == images[:, :1, :1, :1]).all()
    return list(zip(images[:, 0, 0, 0].tolist(), part.labels.tolist(), strict=True))


def test_every_data_set_is_tested() -> None:
    assert FINE_GRAINED.keys() == {"cub200", *MAKERS} and DATASETS.keys() > FINE_GRAINED.keys()


def test_pictures_labels_and_names(name: str, tmp_path: Path) -> None:
    data = DATASETS[name](tmp_path, image_size=16)
    assert data.name == name and not data.notes
    assert data.classes[:3] == CLASSES[name]
    assert len(data.classes) == (102 if name == "oxford-flowers" else 3)
    assert contents(data.train) == TRAIN and contents(data.test) == TEST


def test_options_and_their_defaults(name: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"data": name, "data_dir": str(tmp_path)}
    data = DataOptions(**options).load()
    assert data.train.images.shape == (3, 224, 224)
    assert augmentation_of(data).crop == "resized" and data.augmentation.flip
    small = DataOptions(**options, image_size=16, crop="pad").load()
    assert small.train.images.shape == (3, 16, 16) and augmentation_of(small).crop == "pad"
    assert small.fingerprint() == DATASETS[name](tmp_path, image_size=16).fingerprint()


def test_little_memory_and_progress(name: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    data = DATASETS[name](
        tmp_path, image_size=16, memory_budget=1, progress=lambda *values: told.append(values)
    )
    assert told == [("reading training images", 6, 6), ("reading test images", 3, 3)]
    assert "read from their files again and again" in data.notes[0]
    assert contents(data.train) == TRAIN


@pytest.mark.parametrize("data", MAKERS)
def test_missing_files(data: str, tmp_path: Path) -> None:
    remedy = "cannot be downloaded.*by hand" if data == "stanford-cars" else "pass `download`, or `data_dir`"
    message = f"expected the files of {data} in .*{FOLDERS[data]}, found none or damaged ones; .*{remedy}"
    with pytest.raises(UserError, match=message):
        DATASETS[data](tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("data", "module", "address"),
    [
        ("fgvc-aircraft", "fgvc_aircraft", "fgvc-aircraft-2013b.tar.gz"),
        ("oxford-pets", "oxford_iiit_pet", "images.tar.gz.*annotations.tar.gz"),
        ("oxford-flowers", "flowers102", "102flowers.tgz.*imagelabels.mat.*setid.mat"),
    ],
)
def test_a_failing_download(
    data: str, module: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(f"torchvision.datasets.{module}.download_and_extract_archive", fail)
    with pytest.raises(
        UserError, match=f"the download failed .*no route.*fetch https://.*{address}.* by hand"
    ):
        DATASETS[data](tmp_path, download=True)


def test_cars_are_found_with_download_and_the_lack_of_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        UserError, match="cannot be downloaded, since its authors' address is gone.*cars_train/"
    ):
        DATASETS["stanford-cars"](tmp_path, download=True)
    make_cars(tmp_path / "stanford_cars", monkeypatch)
    data = DATASETS["stanford-cars"](tmp_path, download=True, image_size=16)
    assert contents(data.train) == TRAIN


def test_an_image_size_that_is_too_small(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="image_size must be at least 8, got 4"):
        DATASETS[name](tmp_path, image_size=4)
