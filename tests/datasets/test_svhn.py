"""SVHN from files in its authors' format, small ones made here, and the options that go with it."""

from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from augmentations import augmentation_of
from scipy.io import savemat
from torchvision import datasets

from ssl_mix.augment.cutout import cutout
from ssl_mix.augment.randaugment import RandAugment
from ssl_mix.augment.weak import flip_and_crop
from ssl_mix.datasets import DATASETS, ImageSet, load_svhn
from ssl_mix.errors import UserError
from ssl_mix.runs.data_options import DataOptions

# (H, W, C, N) as in the files; the digit 0 is called 10 there.
PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3, 9), dtype=np.uint8)
PARTS = {
    "train": (range(4), [10, 1, 9, 10]),
    "test": (range(4, 6), [3, 10]),
    "extra": (range(6, 9), [7, 10, 2]),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Four training images, two test images and three extra ones."""
    (tmp_path / "svhn").mkdir()
    for name, (positions, labels) in PARTS.items():
        content = {"X": PIXELS[..., list(positions)], "y": np.array(labels, dtype=np.uint8)[:, None]}
        savemat(tmp_path / "svhn" / f"{name}_32x32.mat", content, do_compression=True)
    unchecked = {name: [url, file, None] for name, (url, file, _) in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", unchecked)
    return tmp_path


def pictures(part: ImageSet | None) -> np.ndarray[Any, Any]:
    assert part is not None
    return next(iter(part.images.batches([torch.arange(len(part.images))], torch.device("cpu")))).numpy()


def test_pictures_and_labels(folder: Path) -> None:
    data = load_svhn(folder)
    assert data.name == "svhn" and data.classes == tuple("0123456789")
    np.testing.assert_array_equal(pictures(data.train), PIXELS.transpose(3, 2, 0, 1)[:4])
    np.testing.assert_array_equal(pictures(data.test), PIXELS.transpose(3, 2, 0, 1)[4:6])
    assert data.train.labels.tolist() == [0, 1, 9, 0]
    assert data.test is not None and data.test.labels.tolist() == [3, 0]
    assert data.train.images.images.is_contiguous()  # type: ignore[attr-defined]


def test_extra_pictures_follow_the_training_ones(folder: Path) -> None:
    data = DataOptions(data="svhn", data_dir=str(folder), extra=True).load()
    expected = PIXELS.transpose(3, 2, 0, 1)[[0, 1, 2, 3, 6, 7, 8]]
    np.testing.assert_array_equal(pictures(data.train), expected)
    assert data.train.labels.tolist() == [0, 1, 9, 0, 7, 0, 2]
    np.testing.assert_array_equal(pictures(data.test), PIXELS.transpose(3, 2, 0, 1)[4:6])


def test_extra_needs_its_file_only_when_asked_for(folder: Path) -> None:
    (folder / "svhn" / "extra_32x32.mat").unlink()
    assert len(load_svhn(folder).train.images) == 4
    with pytest.raises(UserError, match="expected the files of svhn"):
        load_svhn(folder, extra=True)


def test_augmentation(folder: Path) -> None:
    augmentation = augmentation_of(load_svhn(folder))
    assert augmentation.mean == (0.438, 0.444, 0.473) and augmentation.std == (0.1751, 0.1771, 0.1744)
    assert not augmentation.flip and augmentation.padding == 4


def test_registry_and_options_load_the_same(folder: Path) -> None:
    expected = load_svhn(folder).fingerprint()
    assert DATASETS["svhn"](folder).fingerprint() == expected
    assert DataOptions(data="svhn", data_dir=str(folder)).load().fingerprint() == expected


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"expected the files of svhn in .*svhn.*`download`.*data_dir.*svhn"):
        load_svhn(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_a_file_with_a_wrong_checksum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {**datasets.SVHN.split_list, "test": ["", "test_32x32.mat", "0" * 32]}
    monkeypatch.setattr(datasets.SVHN, "split_list", wrong)
    with pytest.raises(UserError, match="found none or damaged ones; pass `download`"):
        load_svhn(folder)


def test_a_file_that_ends_early(folder: Path) -> None:
    file = folder / "svhn" / "train_32x32.mat"
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(UserError, match="found none or damaged ones; pass `download`"):
        load_svhn(folder)


def test_a_failing_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torchvision.datasets.svhn.download_url", fail)
    message = "the download failed .*no route to host.*fetch http://.*train_32x32.mat by hand into .*svhn"
    with pytest.raises(UserError, match=message):
        load_svhn(tmp_path, download=True)


def test_each_file_is_fetched_into_the_folder(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The download is replaced by a copy of the small file."""
    fetched = []

    def copy(url: str, root: str, filename: str, md5: str | None) -> None:
        fetched.append(url)
        Path(root).mkdir(parents=True, exist_ok=True)
        (Path(root) / filename).write_bytes((folder / "svhn" / filename).read_bytes())

    monkeypatch.setattr("torchvision.datasets.svhn.download_url", copy)
    data = load_svhn(tmp_path / "new", download=True, extra=True)
    expected = [datasets.SVHN.split_list[name][0] for name in ("train", "extra", "test")]
    assert fetched == expected and len(data.train.images) == 7


@pytest.mark.parametrize("data", ["digits", "cifar10", "stl10"])
def test_extra_of_other_data_is_refused(data: Any) -> None:
    with pytest.raises(UserError, match=f"`data={data}` takes no `extra`, only these do: svhn$"):
        DataOptions(data=data, extra=True).load()


def test_a_size_for_svhn_is_refused() -> None:
    with pytest.raises(UserError, match="`data=svhn` takes no `image_size`, only these do: stl10, "):
        DataOptions(data="svhn", image_size=64).load()


@pytest.mark.parametrize("variant", ["torchssl", "kekmodel", "google"])
def test_the_variant_of_the_strong_view(folder: Path, variant: Any) -> None:
    """The strong view equals weak, RandAugment and Cutout of that variant, from the same draws."""
    data = DataOptions(data="svhn", data_dir=str(folder), randaugment=variant).load()
    images = torch.from_numpy(pictures(data.train))
    draws = torch.Generator().manual_seed(3)
    weak = flip_and_crop(images, flip=False, padding=4, generator=draws)
    altered = cutout(RandAugment(variant, 1.0)(weak, generator=draws), variant=variant, generator=draws)
    found = data.augmentation.views(images, ["strong"], torch.Generator().manual_seed(3))["strong"]
    torch.testing.assert_close(found, data.augmentation.normalize(altered), rtol=0, atol=0)


def test_the_variant_and_the_crop_are_what_the_data_wants_unless_given() -> None:
    plain = augmentation_of(DataOptions(data="digits").load())
    given = augmentation_of(DataOptions(data="digits", randaugment="google", crop="resized").load())
    assert (plain.variant, plain.crop) == ("torchssl", "pad")
    assert (given.variant, given.crop, given.geometry) == ("google", "resized", plain.geometry)


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(UserError, match="randaugment must be one of torchssl, kekmodel, google.*'google'"):
        DataOptions(data="digits", randaugment="googel").load()  # type: ignore[arg-type]
