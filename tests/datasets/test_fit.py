"""How images become square, and at which side they are stored, against Pillow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from augmentations import augmentation_of
from PIL import Image, ImageOps
from torch import Tensor

from ssl_mix import UserError
from ssl_mix.datasets import StreamedImages, decode, decode_all, load_two_folders
from ssl_mix.datasets.decode import Fit
from ssl_mix.runs.data_options import DataOptions

ORIENTATION = 0x0112
BICUBIC = Image.Resampling.BICUBIC


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(4):
                image = picture(40 + 6 * number, 30, seed=number + 10 * len(part) + (name == "cat"))
                image.save(tmp_path / part / name / f"{number}.png")
    return tmp_path


def options(folder: Path, **more: Any) -> DataOptions:
    return DataOptions(train=str(folder / "train"), test=str(folder / "test"), **more)


def pixels(images: Any) -> Tensor:
    return torch.cat(list(images.batches([torch.arange(len(images))], torch.device("cpu"))))


def expected(path: str | Path, size: int, fit: Fit) -> Tensor:
    image = Image.open(path).convert("RGB")
    square = (
        ImageOps.fit(image, (size, size), BICUBIC) if fit == "cut" else image.resize((size, size), BICUBIC)
    )
    return torch.from_numpy(np.array(square)).permute(2, 0, 1)


@pytest.mark.parametrize("size", [16, 30, 48])
@pytest.mark.parametrize(("width", "height"), [(40, 30), (30, 50), (30, 30)])
def test_squashing_resizes_the_whole_picture(width: int, height: int, size: int, tmp_path: Path) -> None:
    picture(width, height).save(tmp_path / "a.png")
    for fit in ("cut", "squash"):
        assert torch.equal(decode(tmp_path / "a.png", size, fit=fit), expected(tmp_path / "a.png", size, fit))
    assert torch.equal(decode(tmp_path / "a.png", size), expected(tmp_path / "a.png", size, "cut"))


def test_a_picture_is_turned_upright_before_it_is_squashed(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture(40, 20).save(tmp_path / "turned.png", exif=exif)
    upright = picture(40, 20).transpose(Image.Transpose.ROTATE_270)
    wanted = torch.from_numpy(np.array(upright.resize((16, 16), BICUBIC))).permute(2, 0, 1)
    assert torch.equal(decode(tmp_path / "turned.png", 16, fit="squash"), wanted)


def test_a_large_jpeg_is_reduced_alike_however_it_is_read(tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((900, 300)).save(tmp_path / "large.jpg", quality=95)
    found = decode(tmp_path / "large.jpg", 32, 1, "squash").float()
    exact = Image.open(tmp_path / "large.jpg").resize((32, 32), BICUBIC)
    assert (found[0] - torch.from_numpy(np.array(exact)).float()).abs().max() <= 2


@pytest.mark.parametrize("fit", ["cut", "squash"])
def test_every_way_of_reading_fits_alike(folder: Path, fit: Fit) -> None:
    resident = options(folder, image_size=16, fit=fit).load()
    streamed = options(folder, image_size=16, fit=fit, memory_gb=1e-9).load()
    assert isinstance(streamed.train.images, StreamedImages)
    assert resident.train.files is not None and resident.test is not None and streamed.test is not None
    wanted = torch.stack([expected(file, 16, fit) for file in resident.train.files])
    assert torch.equal(pixels(resident.train.images), wanted)
    assert torch.equal(pixels(streamed.train.images), wanted)
    assert torch.equal(pixels(resident.test.images), pixels(streamed.test.images))
    assert torch.equal(decode_all([Path(f) for f in resident.train.files], 16, 3, fit)[0], wanted)


def test_unlabeled_folders_fit_too(folder: Path) -> None:
    data = load_two_folders(folder / "train", folder / "test", None, image_size=16, fit="squash")
    assert data.train.files is not None
    wanted = torch.stack([expected(file, 16, "squash") for file in data.train.files])
    assert torch.equal(pixels(data.train.images), wanted)


def test_what_is_stored_may_be_larger_than_what_is_seen(folder: Path) -> None:
    data = options(folder, image_size=24, stored_size=28).load()
    assert data.train.images.shape == (3, 28, 28) and data.augmentation.seen((3, 28, 28)) == (3, 24, 24)
    assert augmentation_of(data).padding == 0
    default = options(folder, stored_size=40).load()
    assert default.train.images.shape == (3, 40, 40) and augmentation_of(default).size == 32


def test_an_evaluation_may_see_more_or_less_than_training(folder: Path) -> None:
    """Images are stored as large as the larger of both wants them."""
    for sizes, stored, tested in (
        ({"image_size": 16, "test_image_size": 24}, 24, 24),
        ({"image_size": 24, "test_image_size": 16}, 24, 16),
        ({"image_size": 16, "test_image_size": 24, "stored_size": 28}, 28, 24),
    ):
        data = options(folder, **sizes).load()
        assert data.train.images.shape == (3, stored, stored)
        [images] = data.train.images.batches([torch.arange(2)], torch.device("cpu"))
        views = data.augmentation.views(images, ("weak", "strong"), torch.Generator())
        assert {view.shape for view in views.values()} == {(2, 3, sizes["image_size"], sizes["image_size"])}
        first = round((stored - tested) / 2)
        center = images[:, :, first : first + tested, first : first + tested]
        assert torch.equal(data.augmentation.plain(images), center)


def test_the_image_size_as_stored_size_changes_nothing(folder: Path) -> None:
    with_it, without = (
        options(folder, image_size=24, stored_size=24).load(),
        options(folder, image_size=24).load(),
    )
    assert with_it.augmentation == without.augmentation and augmentation_of(with_it).size is None
    assert augmentation_of(with_it).padding == 3 and with_it.fingerprint() == without.fingerprint()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"image_size": 24, "stored_size": 23}, "`stored_size` 23 is below `image_size` 24"),
        ({"stored_size": 31}, "`stored_size` 31 is below `image_size` 32"),
        ({"stored_size": 0}, "stored_size must be"),
        ({"test_image_size": 0}, "test_image_size must be"),
        ({"stored_size": 40, "test_image_size": 41}, "`test_image_size` 41 exceeds the 40 pixels at which"),
        ({"fit": "sqash"}, "fit"),
    ],
)
def test_sizes_that_contradict_each_other(folder: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        options(folder, **wrong).load()


@pytest.mark.parametrize("data", ["digits", "cifar10", "svhn", "stl10"])
@pytest.mark.parametrize("wrong", [{"stored_size": 256}, {"test_image_size": 24}, {"fit": "squash"}])
def test_data_sets_with_a_size_of_their_own_are_stored_at_it(data: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(
        UserError,
        match=f"`data={data}` takes no `(stored_size|test_image_size|fit)`, only these do: cub200, .*folder",
    ):
        DataOptions(data=data, **wrong).load()
