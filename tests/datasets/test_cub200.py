"""CUB-200-2011 in the layout of its authors and in folders of classes, small copies made here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from augmentations import augmentation_of
from PIL import Image
from torchvision.datasets import utils

from ssl_mix.datasets import DATASETS, FINE_GRAINED, ImageSet
from ssl_mix.datasets.fine_grained import CUB_URL
from ssl_mix.errors import UserError
from ssl_mix.runs.data_options import DataOptions

CLASSES = ("001.Black_footed_Albatross", "002.Laysan_Albatross", "010.Red_winged_Blackbird")
# Number, class, part (1 for training), shade: not in the order of the classes, and 10 behind 2 as numbers
# are.
PICTURES = [
    (1, 10, 1, 90),
    (2, 1, 0, 30),
    (3, 2, 1, 70),
    (4, 1, 1, 50),
    (5, 10, 0, 110),
    (6, 2, 0, 130),
    (10, 1, 1, 150),
]
NUMBERS = (1, 2, 10)
LABELS = {number: label for label, number in enumerate(NUMBERS)}


def save(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 16), (shade, shade, shade)).save(path, quality=95)


def official(folder: Path) -> Path:
    """The authors' archive, unpacked."""
    files = {n: f"{CLASSES[LABELS[c]]}/Bird_{n:04d}.jpg" for n, c, _, _ in PICTURES}
    for number, _, _, shade in PICTURES:
        save(folder / "images" / files[number], shade)
    tables: dict[str, dict[int, Any]] = {
        "images": files,
        "image_class_labels": {n: c for n, c, _, _ in PICTURES},
        "train_test_split": {n: part for n, _, part, _ in PICTURES},
        "classes": dict(zip(NUMBERS, CLASSES, strict=True)),
    }
    for name, table in tables.items():
        (folder / f"{name}.txt").write_text("".join(f"{key} {value}\n" for key, value in table.items()))
    return folder


def prepared(folder: Path) -> Path:
    """The same images in a folder per species."""
    for number, label, part, shade in PICTURES:
        save(
            folder / ("train" if part else "test") / CLASSES[LABELS[label]] / f"Bird_{number:04d}.jpg", shade
        )
    return folder


def contents(part: ImageSet | None) -> list[tuple[int, int]]:
    """Shade and label of each image."""
    assert part is not None
    images = next(iter(part.images.batches([torch.arange(len(part.images))], torch.device("cpu"))))
    assert (images == images[:, :1, :1, :1]).all()
    return list(zip(images[:, 0, 0, 0].tolist(), part.labels.tolist(), strict=True))


def expected(flag: int) -> list[tuple[int, int]]:
    return [(shade, LABELS[label]) for _, label, part, shade in PICTURES if part == flag]


@pytest.mark.parametrize("inner", ["CUB_200_2011", "."])
def test_the_layout_of_the_authors(tmp_path: Path, inner: str) -> None:
    official(tmp_path / inner)
    data = FINE_GRAINED["cub200"](tmp_path, image_size=16)
    assert data.name == "cub200" and data.classes == CLASSES and not data.notes
    assert contents(data.train) == expected(1) and contents(data.test) == expected(0)
    assert data.train.files is not None
    assert data.train.files[0] == str(tmp_path / inner / "images" / CLASSES[2] / "Bird_0001.jpg")


@pytest.mark.parametrize("inner", [".", "CUB_200_2011", "CUB200", "cub200"])
def test_folders_of_classes(tmp_path: Path, inner: str) -> None:
    prepared(tmp_path / inner)
    data = FINE_GRAINED["cub200"](tmp_path, image_size=16)
    assert data.name == "cub200" and data.classes == CLASSES and augmentation_of(data).crop == "resized"
    assert sorted(contents(data.train)) == sorted(expected(1))
    assert sorted(contents(data.test)) == sorted(expected(0))


def test_the_layout_of_the_authors_goes_first(tmp_path: Path) -> None:
    prepared(official(tmp_path / "CUB_200_2011"))
    files = FINE_GRAINED["cub200"](tmp_path, image_size=16).train.files
    assert files is not None and all("/images/" in Path(file).as_posix() for file in files)


def test_folders_of_other_classes_are_not_taken_for_birds(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            save(tmp_path / part / name / "1.jpg", 90)
    with pytest.raises(UserError, match="expected the files of cub200 in .*CUB_200_2011.*`download`"):
        FINE_GRAINED["cub200"](tmp_path, image_size=16)


def test_registry_and_options(tmp_path: Path) -> None:
    official(tmp_path / "CUB_200_2011")
    data = DataOptions(data="cub200", data_dir=str(tmp_path)).load()
    assert data.train.images.shape == (3, 224, 224)
    assert augmentation_of(data).crop == "resized" and data.augmentation.flip
    padded = DataOptions(data="cub200", data_dir=str(tmp_path), crop="pad").load()
    assert augmentation_of(padded).crop == "pad"
    small = DataOptions(data="cub200", data_dir=str(tmp_path), image_size=16).load()
    assert small.fingerprint() == DATASETS["cub200"](tmp_path, image_size=16).fingerprint()


@pytest.mark.parametrize("line", ["train/{} 0", "images/{}", "{}"])
@pytest.mark.parametrize("make", [official, prepared])
def test_a_label_list_fits_both_layouts(tmp_path: Path, line: str, make: Callable[[Path], Path]) -> None:
    make(tmp_path / "CUB_200_2011")
    listed = [f"{CLASSES[label]}/Bird_{n:04d}.jpg" for n, label in ((10, 0), (1, 2), (3, 1))]
    (tmp_path / "list.txt").write_text("\n".join(map(line.format, listed)))
    options = DataOptions(
        data="cub200", data_dir=str(tmp_path), image_size=16, label_list=str(tmp_path / "list.txt")
    )
    data = options.load()
    chosen = [contents(data.train)[i] for i in options.choose_split(data, 0).labeled]
    assert sorted(chosen) == [(70, 1), (90, 2), (150, 0)]


@pytest.mark.parametrize("name", ["images", "image_class_labels", "classes"])
def test_one_missing_file(tmp_path: Path, name: str) -> None:
    (official(tmp_path / "CUB_200_2011") / f"{name}.txt").unlink()
    with pytest.raises(UserError, match="expected the files of cub200.*found none or damaged ones"):
        FINE_GRAINED["cub200"](tmp_path, image_size=16)


def test_a_table_that_ends_early(tmp_path: Path) -> None:
    table = official(tmp_path / "CUB_200_2011") / "image_class_labels.txt"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    with pytest.raises(UserError, match="expected the files of cub200.*found none or damaged ones"):
        FINE_GRAINED["cub200"](tmp_path, image_size=16)


def test_pictures_that_are_missing_are_told(tmp_path: Path) -> None:
    (official(tmp_path / "CUB_200_2011") / "images" / CLASSES[0] / "Bird_0004.jpg").unlink()
    data = FINE_GRAINED["cub200"](tmp_path, image_size=16)
    assert contents(data.train) == [pair for pair in expected(1) if pair[0] != 50]
    assert "left out 1 file that cannot be read as images" in data.notes[0]


def test_a_download_unpacks_what_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(url: str, root: str, md5: str) -> None:
        asked.append((url, md5))
        official(Path(root) / "CUB_200_2011")

    monkeypatch.setattr(utils, "download_and_extract_archive", fetch)
    for _ in range(2):  # the second time nothing is fetched
        assert contents(FINE_GRAINED["cub200"](tmp_path, image_size=16, download=True).train) == expected(1)
    assert asked == [(CUB_URL, "97eceeb196236b17998738112f37df78")]


def test_a_failing_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(utils, "download_and_extract_archive", fail)
    message = (
        "the download failed .*no route to host.*fetch https://data.caltech.edu.*tgz by hand and unpack it in"
    )
    with pytest.raises(UserError, match=message):
        FINE_GRAINED["cub200"](tmp_path, download=True)
