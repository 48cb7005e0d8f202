"""Images that were decoded once for all runs: the same pixels, and never those of other files."""

import os
import shutil
import tarfile
import threading
from pathlib import Path

import pytest
import torch
from PIL import Image

from ssl_mix.datasets import DataSet, as_dataset, decode, image_cache, load_folder, load_two_folders
from ssl_mix.datasets.decode import read_image
from ssl_mix.datasets.mapped import MappedImages
from ssl_mix.datasets.one_at_a_time import only_one
from ssl_mix.errors import UserError

CPU = torch.device("cpu")


@pytest.fixture
def train(tmp_path: Path) -> Path:
    for number, name in enumerate(("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")):
        path = tmp_path / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((8 + number, 8), 60).convert("RGB").save(path)
    return tmp_path / "train"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are decoded."""
    names: list[str] = []

    def spy(path: Path, *form: object) -> object:
        names.append(path.name if path.parent.name != "dog" else f"dog {path.name}")
        return read_image(path, *form)  # type: ignore[arg-type]

    monkeypatch.setattr("ssl_mix.datasets.cache_sources.read_image", spy)
    return names


def load(train: Path, size: int = 8, **options: object) -> DataSet:
    return load_folder(train, image_size=size, cache_images=train.parent / "cache", **options)  # type: ignore[arg-type]


def pixels(data: DataSet) -> torch.Tensor:
    return next(iter(data.train.images.batches([torch.arange(len(data.train.images))], CPU)))


def caches(train: Path) -> list[Path]:
    return [path for path in (train.parent / "cache").iterdir() if path.is_dir()]


def test_files_are_decoded_once(train: Path, decoded: list[str]) -> None:
    told: list[tuple[str, int, int]] = []
    plain = load_folder(train, image_size=8)
    first = load(train, progress=lambda *values: told.append(values))
    assert len(decoded) == 4 and told[0] == (
        f"caching training images, 0.0 MiB in {train.parent / 'cache'}",
        0,
        4,
    )
    second = load(train)
    assert len(decoded) == 4 and isinstance(second.train.images, MappedImages)
    for data in (first, second):
        assert torch.equal(pixels(data), pixels(plain))
        assert data.train.digests == plain.train.digests and data.fingerprint() == plain.fingerprint()
    assert first.notes[0].startswith("decoded 4 training images into ") and "are read from" in second.notes[0]
    assert len(load(train, size=16).train.images) == 4 and len(caches(train)) == 2


def test_a_changed_file_is_decoded_anew_and_the_others_are_not(train: Path, decoded: list[str]) -> None:
    load(train)
    del decoded[:]
    Image.new("RGB", (8, 8), "red").save(train / "dog" / "1.png")
    data = load(train)
    assert decoded == ["dog 1.png"] and data.notes[0].startswith("1 of 4 training images changed")
    assert torch.equal(pixels(data)[2], decode(train / "dog" / "1.png", 8))
    assert len(caches(train)) == 1
    os.utime(train / "cat" / "1.png", ns=(1, 1))  # as many bytes, another time
    load(train)
    assert decoded == ["dog 1.png", "1.png"]


def test_broken_files_stay_left_out(train: Path) -> None:
    (train / "cat" / "0.png").write_bytes(b"no image")
    first, second = load(train), load(train)
    for data in (first, second):
        assert len(data.train.labels) == 4 and any("left out 1 file" in note for note in data.notes)
        assert torch.equal(pixels(data), torch.stack([decode(name, 8) for name in data.train.files or ()]))


def test_copies_are_left_out_of_what_is_mapped(train: Path) -> None:
    shutil.copy(train / "cat" / "1.png", train / "cat" / "3.png")
    data = load(train, drop_copies="exact")
    assert isinstance(data.train.images, MappedImages) and len(data.train.images) == 4
    assert torch.equal(pixels(data), torch.stack([decode(name, 8) for name in data.train.files or ()]))


def test_a_half_or_damaged_cache_is_never_read(train: Path, decoded: list[str]) -> None:
    expected = pixels(load(train))
    (place,) = caches(train)
    (place / "images.npy").write_bytes((place / "images.npy").read_bytes()[:-1])
    (place.parent / ".building-1").mkdir()  # of a process that was killed
    assert torch.equal(pixels(load(train)), expected) and len(decoded) == 8
    assert pixels(load(train)).equal(expected) and len(decoded) == 8


def test_a_build_that_fails_leaves_nothing(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(image_cache, "_write_index", fail)
    with pytest.raises(OSError, match="disk is full"):
        load(train)
    assert not caches(train)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 8, 1))  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="the cache of images needs 0.0 GiB, and 0.0 GiB are free"):
        load(train)


def test_a_second_process_waits_and_reads_what_the_first_has_built(train: Path, decoded: list[str]) -> None:
    place = train.parent / "cache"
    waiting, told = threading.Event(), []
    load(train)
    (built,) = caches(train)
    built.rename(place / "aside")

    def first() -> None:
        with only_one(place / f"{built.name.partition('-')[0]}.lock", lambda: None):
            started.set()
            waiting.wait(60)
            (place / "aside").rename(built)

    started = threading.Event()
    process = threading.Thread(target=first)  # another open file is as good as another process
    process.start()
    started.wait(60)

    def progress(label: str, done: int, total: int) -> None:
        told.append(label)
        waiting.set()

    del decoded[:]
    data = load(train, progress=progress)
    process.join()
    assert told[0].startswith("waiting for ") and not decoded and len(data.train.images) == 4


def test_labeled_and_unlabeled_folders_are_one_cache(train: Path, tmp_path: Path) -> None:
    unlabeled = tmp_path / "more"
    unlabeled.mkdir()
    Image.new("RGB", (9, 9), "blue").save(unlabeled / "1.png")
    data = load_two_folders(train, unlabeled, image_size=8, cache_images=tmp_path / "cache")
    assert isinstance(data.train.images, MappedImages) and len(data.train.images) == 5
    assert torch.equal(pixels(data)[4], decode(unlabeled / "1.png", 8))


def test_images_of_archives_are_cached_until_the_archive_changes(train: Path, tmp_path: Path) -> None:
    archive, cache = tmp_path / "more.tar", tmp_path / "cache"

    def data(*names: str, **options: Path) -> DataSet:
        if names:
            with tarfile.open(archive, "w") as tar:
                for name in names:
                    tar.add(train / name, f"image{name[4:]}")
        return as_dataset(train, archive, image_size=8, workers=0, **options)

    plain = data("dog/1.png", "cat/2.png")
    first, second = data(cache_images=cache), data(cache_images=cache)
    assert first.notes[0].startswith("decoded 6 training") and "are read from" in second.notes[0]
    assert isinstance(second.train.images, MappedImages) and torch.equal(pixels(second), pixels(plain))
    assert second.fingerprint() == plain.fingerprint() and second.train.digests == plain.train.digests
    changed = data("cat/1.png", "cat/2.png", cache_images=cache)
    assert changed.notes[0].startswith("2 of 6 training images changed")
    assert torch.equal(pixels(changed)[4], pixels(plain)[0])


def test_images_in_memory_are_not_cached_and_that_is_said(train: Path, tmp_path: Path) -> None:
    images = torch.zeros((4, 3, 8, 8), dtype=torch.uint8)
    data = as_dataset((images, [0, 1, 0, 1]), image_size=8, cache_images=tmp_path / "cache")
    assert "training images have no files: `cache_images` keeps none of them" in data.notes
