"""STL-10 from files in its authors' format, small ones made here."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from augmentations import augmentation_of
from PIL import Image
from torchvision import datasets

from ssl_mix.datasets import DATASETS, ImageSet, load_stl10, stl10
from ssl_mix.errors import UserError
from ssl_mix.runs.data_options import DataOptions

CLASSES = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
LABELED, UNLABELED, TEST = 20, 7, 3


def smooth(count: int) -> np.ndarray[Any, Any]:
    """Images (N, C, H, W) with coarse structure, so that resampling them means something."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 3, 12, 12), dtype=np.uint8)
    return coarse.repeat(8, axis=2).repeat(8, axis=3)


PIXELS = smooth(LABELED + UNLABELED + TEST)
TRAIN = np.tile(np.arange(10), 2)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two labeled images of each class, seven unlabeled and three test images."""
    place = tmp_path / "stl10_binary"
    place.mkdir()
    parts = np.split(PIXELS, [LABELED, LABELED + UNLABELED])
    for name, part in zip(("train", "unlabeled", "test"), parts, strict=True):
        part.transpose(0, 1, 3, 2).tofile(place / f"{name}_X.bin")  # the files have columns before rows
    (TRAIN + 1).astype(np.uint8).tofile(place / "train_y.bin")  # and count classes from 1
    np.array([10, 1, 4], dtype=np.uint8).tofile(place / "test_y.bin")
    (place / "class_names.txt").write_text("\n".join(CLASSES) + "\n")
    for name in ("train_list", "test_list"):
        unchecked = [[file, None] for file, _ in getattr(datasets.STL10, name)]
        monkeypatch.setattr(datasets.STL10, name, unchecked)
    return tmp_path


def pictures(part: ImageSet | None) -> np.ndarray[Any, Any]:
    assert part is not None
    return next(iter(part.images.batches([torch.arange(len(part.images))], torch.device("cpu")))).numpy()


def test_pictures_and_labels(folder: Path) -> None:
    data = load_stl10(folder)
    assert data.name == "stl10" and data.classes == tuple(CLASSES) and data.test is not None
    np.testing.assert_array_equal(pictures(data.train), PIXELS[: LABELED + UNLABELED])
    np.testing.assert_array_equal(pictures(data.test), PIXELS[LABELED + UNLABELED :])
    assert data.train.labels.tolist() == [*TRAIN, *[-1] * UNLABELED]
    assert data.test.labels.tolist() == [9, 0, 3]
    assert data.train.images.images.is_contiguous()  # type: ignore[attr-defined]


def test_augmentation(folder: Path) -> None:
    augmentation = augmentation_of(load_stl10(folder))
    assert np.allclose(np.multiply(augmentation.mean, 255), (112.4, 109.1, 98.6))
    assert np.allclose(np.multiply(augmentation.std, 255), (68.4, 66.6, 68.5))
    assert augmentation.flip and augmentation.padding == 12
    assert augmentation_of(load_stl10(folder, image_size=32)).padding == 4


@pytest.mark.parametrize("size", [48, 32, 128])
def test_other_sizes_equal_those_of_pillow(folder: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Nearly everywhere to the bit; both round their weights and the rows between the two passes, which adds
    up to two gray levels.

    The chunks do not divide the number of images.
    """
    monkeypatch.setattr(stl10, "CHUNK", 8)
    data = DataOptions(data="stl10", data_dir=str(folder), image_size=size).load()
    assert data.train.images.shape == (3, size, size)
    found = pictures(data.train).astype(int)
    resampled = [
        np.asarray(Image.fromarray(original).resize((size, size), Image.Resampling.BICUBIC), dtype=int)
        for original in PIXELS[: len(found)].transpose(0, 2, 3, 1)
    ]
    difference = np.abs(found - np.stack(resampled).transpose(0, 3, 1, 2))
    assert difference.max() <= 2 and (difference > 0).mean() < 0.01


def test_labels_are_chosen_among_the_labeled_and_the_rest_is_unlabeled(folder: Path) -> None:
    options = DataOptions(data="stl10", data_dir=str(folder), labels=10)
    data = options.load()
    split = options.choose_split(data, seed=0)
    assert sorted(data.train.labels[list(split.labeled)].tolist()) == list(range(10))
    assert max(split.labeled) < LABELED
    assert sorted((*split.labeled, *split.unlabeled)) == list(range(LABELED + UNLABELED))
    truth = data.train.labels[list(split.unlabeled)]
    assert (truth == -1).sum() == UNLABELED and sorted(truth[truth >= 0].tolist()) == list(range(10))


def test_without_a_number_all_labels_are_used(folder: Path) -> None:
    options = DataOptions(data="stl10", data_dir=str(folder))
    split = options.choose_split(options.load(), seed=0)
    assert split.labeled == tuple(range(LABELED))
    assert split.unlabeled == tuple(range(LABELED, LABELED + UNLABELED))


def test_more_labels_than_there_are(folder: Path) -> None:
    options = DataOptions(data="stl10", data_dir=str(folder), labels=30)
    with pytest.raises(UserError, match="class 'airplane' has 2 labeled images, fewer than the 3"):
        options.choose_split(options.load(), seed=0)


def test_registry_and_options_load_the_same(folder: Path) -> None:
    expected = load_stl10(folder).fingerprint()
    assert DATASETS["stl10"](folder).fingerprint() == expected
    assert DataOptions(data="stl10", data_dir=str(folder)).load().fingerprint() == expected


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match="expected the files of stl10 in .*stl10_binary.*`download`.*data_dir.*stl10_binary",
    ):
        load_stl10(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("file", ["unlabeled_X.bin", "test_y.bin", "class_names.txt"])
def test_one_missing_file(folder: Path, file: str) -> None:
    (folder / "stl10_binary" / file).unlink()
    with pytest.raises(UserError, match="expected the files of stl10.*found none or damaged ones"):
        load_stl10(folder)


def test_a_file_that_ends_early(folder: Path) -> None:
    file = folder / "stl10_binary" / "unlabeled_X.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match="found none or damaged ones; pass `download`"):
        load_stl10(folder)


def test_a_file_with_a_wrong_checksum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = [["test_X.bin", "0" * 32], ["test_y.bin", None]]
    monkeypatch.setattr(datasets.STL10, "test_list", wrong)
    with pytest.raises(UserError, match="found none or damaged ones; pass `download`"):
        load_stl10(folder)


def test_a_failing_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.datasets.stl10.download_and_extract_archive", fail)
    message = "the download failed .*no route to host.*http://.*stl10_binary.tar.gz by hand and unpack it in"
    with pytest.raises(UserError, match=message):
        load_stl10(tmp_path, download=True)


@pytest.mark.parametrize("size", [7, 0, -96])
def test_sizes_that_are_too_small(folder: Path, size: int) -> None:
    with pytest.raises(UserError, match="image_size must be"):
        DataOptions(data="stl10", data_dir=str(folder), image_size=size).load()
