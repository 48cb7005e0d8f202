"""Many files at once: order, broken files, progress."""

import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from ssl_mix.datasets import decode, decode_all
from ssl_mix.datasets.decode_many import read_all
from ssl_mix.errors import UserError


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """100 images of 4 to 19 pixels a side; every tenth is no image."""
    paths = [tmp_path / f"{number}.png" for number in range(100)]
    for number, path in enumerate(paths):
        side = 4 + number % 16
        Image.effect_noise((side, side), 60).convert("RGB").save(path)
        if number % 10 == 0:
            path.write_text("no image")
    return paths


def test_pictures_stay_in_order_and_broken_ones_are_named(files: list[Path]) -> None:
    images, kept, broken = decode_all(files, 8)
    assert kept == [number for number in range(100) if number % 10]
    assert broken == [(files[number], "not an image of a known format") for number in range(0, 100, 10)]
    assert torch.equal(images, torch.stack([decode(files[number], 8) for number in kept]))


def test_small_pictures_are_counted(files: list[Path]) -> None:
    found = read_all(files, 8, keep=True)
    assert found.enlarged == sum(number % 16 < 4 for number in found.kept)


def test_checking_finds_the_same_and_keeps_nothing(files: list[Path]) -> None:
    assert read_all(files, 8, keep=False) == (None, *read_all(files, 8, keep=True)[1:])


def test_gray(files: list[Path]) -> None:
    images, kept, _ = decode_all(files[:3], 8, 1)
    assert torch.equal(images, torch.stack([decode(files[number], 8, 1) for number in kept]))


def test_progress_is_told_from_the_calling_thread(files: list[Path]) -> None:
    told: list[tuple[str, int, int]] = []

    def progress(label: str, done: int, total: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        told.append((label, done, total))

    decode_all(files, 8, progress=progress, label="looking")
    assert {(label, total) for label, _, total in told} == {("looking", 100)}
    done = [count for _, count, _ in told]
    assert done == sorted(set(done)) and done[-1] == 100 and len(done) > 1


def test_no_files_at_all() -> None:
    images, kept, broken = decode_all([], 8)
    assert images.shape == (0, 3, 8, 8) and not kept and not broken


def test_a_wrong_number_of_channels_is_not_taken_for_broken_files(files: list[Path]) -> None:
    with pytest.raises(UserError, match="channels must be 1"):
        decode_all(files, 8, 2)
