"""A folder with one sub-folder per class: what is read, and what is refused."""

from pathlib import Path

import pytest
import torch
from augmentations import augmentation_of
from PIL import Image

from ssl_mix.datasets import DataSet, ImageSet, decode, list_images, load_folder
from ssl_mix.errors import UserError

NAMES = ("cat/1.jpg", "cat/2.PNG", "dog/deep/3.jpeg", "dog/4.Tiff")


def add(folder: Path, *names: str, side: int = 16) -> Path:
    """Write images that all differ."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((side, side + number), 60).convert("RGB").save(path)
    return folder


def load(train: Path, test: Path | None = None, size: int = 16) -> DataSet:
    return load_folder(train, test, image_size=size)


def pixels(part: ImageSet) -> torch.Tensor:
    return next(iter(part.images.batches([torch.arange(len(part.images))], torch.device("cpu"))))


def test_sub_folders_are_the_classes_in_order(tmp_path: Path) -> None:
    data = load(
        add(tmp_path / "train", *NAMES), add(tmp_path / "test", "dog/9.bmp", "cat/8.gif", "cat/7.webp")
    )
    train, test = tmp_path / "train", tmp_path / "test"
    assert data.classes == ("cat", "dog") and data.test is not None and not data.notes
    assert data.train.labels.tolist() == [0, 0, 1, 1] and data.test.labels.tolist() == [0, 0, 1]
    assert data.train.files == tuple(
        str(train / n) for n in ("cat/1.jpg", "cat/2.PNG", "dog/4.Tiff", "dog/deep/3.jpeg")
    )
    assert data.test.files == tuple(str(test / n) for n in ("cat/7.webp", "cat/8.gif", "dog/9.bmp"))
    for part in (data.train, data.test):
        assert part.files is not None
        assert torch.equal(pixels(part), torch.stack([decode(file, 16) for file in part.files]))


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    train = add(tmp_path, *NAMES, ".hidden/1.jpg", "cat/.2.jpg", "dog/.trash/3.jpg")
    (train / "cat" / "labels.csv").write_text("1")
    (train / "README").write_text("images")
    assert load(train).train.labels.tolist() == [0, 0, 1, 1]
    assert load(train).notes == (
        f"left out files in {train} whose suffix is of no image that can be read: "
        "1 without suffix (README), 1 .csv (labels.csv)",
    )


def test_links_are_followed_once(tmp_path: Path) -> None:
    elsewhere = add(tmp_path / "elsewhere", "5.jpg")
    train = add(tmp_path / "train", *NAMES)
    (train / "cat" / "more").symlink_to(elsewhere, target_is_directory=True)
    (train / "cat" / "loop").symlink_to(train / "cat", target_is_directory=True)
    (elsewhere / "loop").symlink_to(elsewhere, target_is_directory=True)
    assert [path.name for path in list_images(train / "cat")] == ["1.jpg", "2.PNG", "5.jpg"]


def test_augmentation_is_fitted_to_the_training_pictures(tmp_path: Path) -> None:
    data = load(add(tmp_path, *NAMES), size=24)
    values = pixels(data.train).double() / 255
    augmentation = augmentation_of(data)
    assert augmentation.mean == tuple(values.mean((0, 2, 3)).numpy().round(3))
    assert augmentation.std == tuple(values.std((0, 2, 3), correction=0).numpy().round(3))
    assert augmentation.padding == 3 and augmentation.flip


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    train, test = add(tmp_path / "train", *NAMES), add(tmp_path / "test", *NAMES[1:3])
    load_folder(train, test, image_size=16, progress=lambda *values: told.append(values))
    assert told == [("reading training images", 4, 4), ("reading test images", 2, 2)]


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ((), None, "expected a folder of images at .*train, found nothing"),
        (("cat/notes/",), None, "class 'cat' has no image"),
        (
            ("a.jpg", "b.jpg"),
            None,
            "images but no sub-folders: expected one sub-folder per class, as in .*cat.1.jpg",
        ),
        ((".hidden/1.jpg",), None, "holds no sub-folders: expected one sub-folder per class"),
        (("cat/1.jpg",), None, "the one class 'cat': expected two or more"),
        (("cat/1.jpg", "dog/a.txt/"), None, "class 'dog' has no image in .*dog"),
        (NAMES, (), "expected a folder of images at .*test, found nothing"),
        (NAMES, ("cow/1.jpg", "pig/2.jpg"), "test holds 'cow', 'pig', which the .* do not: .*'cat', 'dog'"),
        (NAMES, ("1.jpg",), "test holds images but no sub-folders"),
    ],
)
def test_layouts_that_are_refused(
    tmp_path: Path, train: tuple[str, ...], test: tuple[str, ...] | None, message: str
) -> None:
    for part, names in (("train", train), ("test", test or ())):
        add(tmp_path / part, *(name for name in names if not name.endswith("/")))
        for name in names:
            if name.endswith("/"):
                (tmp_path / part / name).mkdir(parents=True)
    if train == ("cat/notes/",):
        (tmp_path / "train" / "dog").mkdir()
    with pytest.raises(UserError, match=message):
        load(tmp_path / "train", None if test is None else tmp_path / "test")


def test_a_file_instead_of_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a folder of images at .*1.jpg, found a file"):
        load(add(tmp_path, "1.jpg") / "1.jpg")


def test_too_small_a_size(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="image_size must be at least 8, got 7"):
        load(add(tmp_path, *NAMES), size=7)
