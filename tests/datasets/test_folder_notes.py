"""Folders with something wrong in them: broken files, small images, too many for the memory."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from ssl_mix.datasets import DataSet, ImageSet, ResidentImages, StreamedImages, load_folder
from ssl_mix.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of ten images of 16x16 pixels."""
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(10):
            Image.effect_noise((16, 16), 60).convert("RGB").save(tmp_path / name / f"{number}.jpg")
    return tmp_path


def load(folder: Path, **options: object) -> DataSet:
    return load_folder(folder, None, **{"image_size": 16, **options})  # type: ignore[arg-type]


def pixels(part: ImageSet) -> torch.Tensor:
    return next(iter(part.images.batches([torch.arange(len(part.images))], torch.device("cpu"))))


def test_broken_files_are_named_counted_and_left_out(folder: Path) -> None:
    (folder / "cat" / "0.jpg").write_bytes(b"")
    (folder / "cat" / "3.jpg").write_text("no image")
    (folder / "dog" / "4.jpg").unlink()
    (folder / "dog" / "4.jpg").symlink_to(folder / "gone.jpg")
    whole = (folder / "dog" / "5.jpg").read_bytes()
    (folder / "dog" / "5.jpg").write_bytes(whole[: len(whole) // 2])
    data = load(folder)
    assert data.train.files is not None and len(data.train.files) == 16
    assert data.train.labels.tolist() == [0] * 8 + [1] * 8
    assert not {str(folder / name) for name in ("cat/0.jpg", "cat/3.jpg", "dog/4.jpg", "dog/5.jpg")} & set(
        data.train.files
    )
    (note,) = data.notes
    assert note == (
        "left out 4 files that cannot be read as images: "
        f"{folder}/cat/0.jpg (an empty file), "
        f"{folder}/cat/3.jpg (not an image of a known format), "
        f"{folder}/dog/4.jpg (No such file or directory) and 1 more"
    )


def test_decompression_bombs_are_left_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (64, 64)).save(folder / "cat" / "0.jpg")
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 200
    )  # the others give a mere warning, which must stay silent
    data = load(folder)
    assert len(data.train.labels) == 19
    (note,) = data.notes
    assert re.search("1 file .*cat/0.jpg .*decompression bomb", note)


@pytest.mark.parametrize("budget", [None, 1])
def test_a_class_without_a_single_good_picture(folder: Path, budget: int | None) -> None:
    for path in (folder / "dog").iterdir():
        path.write_text("no image")
    with pytest.raises(
        UserError, match="none of the training images of 'dog' can be read.*not an image.*dog/0.jpg"
    ):
        load(folder, memory_budget=budget)


def test_small_pictures_are_counted(folder: Path) -> None:
    Image.effect_noise((40, 15), 60).convert("RGB").save(folder / "cat" / "0.jpg")
    assert load(folder).notes == ("1 image is smaller than 16x16 and was enlarged",)
    assert load(folder, image_size=32).notes == ("20 images are smaller than 32x32 and were enlarged",)


def test_pictures_outside_the_sub_folders(folder: Path) -> None:
    Image.new("RGB", (16, 16)).save(folder / "stray.png")
    assert load(folder).notes == (f"1 image directly in {folder} of no class: left out",)


def test_pictures_that_need_too_much_memory_are_streamed(folder: Path) -> None:
    (folder / "cat" / "0.jpg").write_text("no image")
    needed = 20 * 3 * 16 * 16
    resident, streamed = load(folder, memory_budget=needed), load(folder, memory_budget=needed - 1)
    assert isinstance(resident.train.images, ResidentImages)
    assert isinstance(streamed.train.images, StreamedImages)
    assert torch.equal(pixels(resident.train), pixels(streamed.train))
    assert torch.equal(resident.train.labels, streamed.train.labels)
    assert resident.train.files == streamed.train.files
    assert resident.augmentation == streamed.augmentation
    assert resident.fingerprint() == streamed.fingerprint()
    memory, broken = streamed.notes
    assert re.match("the images need .* MiB, more than the .* MiB they may take", memory)
    assert resident.notes == (broken,)


def test_the_note_on_memory_has_the_numbers(folder: Path) -> None:
    note = load(folder, image_size=512, memory_budget=3 * 2**20).notes[0]
    assert "need 15.0 MiB, more than the 3.0 MiB" in note


def test_the_test_pictures_count_too(folder: Path) -> None:
    needed = 20 * 3 * 16 * 16
    data = load_folder(folder, folder, image_size=16, memory_budget=2 * needed - 1)
    assert data.test is not None
    assert isinstance(data.train.images, StreamedImages) and isinstance(data.test.images, StreamedImages)


def test_the_default_is_half_of_the_free_memory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Memory:
        available = 2 * 20 * 3 * 16 * 16

    monkeypatch.setattr("psutil.virtual_memory", Memory)
    assert isinstance(load(folder).train.images, ResidentImages)
    Memory.available -= 2
    assert isinstance(load(folder).train.images, StreamedImages)
