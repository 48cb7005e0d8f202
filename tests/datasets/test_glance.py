"""Very many files: their first bytes are looked at, and what cannot be decoded later is a black image."""

import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image

from ssl_mix.datasets import DataSet, load_folder
from ssl_mix.datasets.glance import glance_all
from ssl_mix.datasets.packed import Paths

CPU = torch.device("cpu")


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("cat/1.png", "cat/2.jpg", "dog/1.bmp", "dog/2.tga", "dog/3.gif"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.effect_noise((8, 8), 60).convert("RGB").save(path)
    monkeypatch.setattr("ssl_mix.datasets.originals.MANY", 4)
    return tmp_path


def load(train: Path) -> DataSet:
    return load_folder(train, image_size=8, memory_budget=0, workers=0)


def test_what_does_not_begin_as_an_image_is_left_out(train: Path) -> None:
    (train / "cat" / "2.jpg").rename(train / "cat" / "a jpeg.png")
    (train / "dog" / "4.png").write_bytes(b"")
    (train / "dog" / "5.png").write_bytes(b"no image at all")
    (train / "dog" / "6.png").mkdir()
    files = Paths([*sorted(train.glob("*/*")), train / "none.png"])
    reading = glance_all(files, None, "")
    assert {path.name: why for path, why in reading.broken} == {
        "4.png": "an empty file",
        "5.png": "not an image of a known format",
        "6.png": "a folder, not a regular file",
        "none.png": "No such file or directory",
    }
    data = load(train)
    assert len(data.train.labels) == 5 and data.train.digests is None
    assert "of 5 files only the first bytes were looked at" in data.notes[-1]
    assert "left out 2 files" in data.notes[-2]


def test_what_cannot_be_decoded_is_black_and_told_once(train: Path) -> None:
    broken = train / "cat" / "2.jpg"
    broken.write_bytes(broken.read_bytes()[:100])
    with pytest.warns(UserWarning, match="2.jpg cannot be read as .*: a black image takes its place"):
        data = load(train)
        (batch,) = data.train.images.batches([torch.tensor([0, 1])], CPU)
    assert batch[0].any() and not batch[1].any()


def test_few_files_are_decoded_as_before(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    (train / "cat" / "2.jpg").write_bytes((train / "cat" / "2.jpg").read_bytes()[:100])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = load(train)
        list(data.train.images.batches([torch.arange(4)], CPU))
    assert len(data.train.labels) == 4 and data.train.digests is not None
