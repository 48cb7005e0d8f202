"""Images that occur more than once, in every two parts and in two classes."""

import importlib.util
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ssl_mix.datasets import DataSet, as_dataset, choose_split, load_folder, load_two_folders
from ssl_mix.datasets.copies import copy_notes
from ssl_mix.datasets.near_copies import NEAR, group_near
from ssl_mix.errors import UserError

with_hashes = pytest.mark.skipif(importlib.util.find_spec("imagehash") is None, reason="needs imagehash")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Parts with smooth images, no two alike."""
    generator = np.random.default_rng(0)
    for part, count in (("train/cat", 4), ("train/dog", 4), ("test/cat", 2), ("test/dog", 2), ("other", 3)):
        (tmp_path / part).mkdir(parents=True)
        for number in range(count):
            small = Image.fromarray(generator.integers(0, 256, (9, 9, 3), dtype=np.uint8))
            small.resize((64, 64), Image.Resampling.BICUBIC).save(tmp_path / part / f"{number}.png")
    return tmp_path


def copy(root: Path, source: str, target: str) -> None:
    shutil.copy(root / source, root / target)


def notes(data: DataSet, **options: Any) -> list[str]:
    split = choose_split(data.train.labels, len(data.classes), seed=0, classes=data.classes, **options)
    return copy_notes(data, split)


def load(root: Path, **options: Any) -> DataSet:
    return load_folder(root / "train", root / "test", image_size=32, **options)


def test_nothing_is_said_of_images_that_differ(root: Path) -> None:
    assert notes(load(root), per_class=2) == []


def test_test_images_among_the_training_ones(root: Path) -> None:
    copy(root, "test/cat/0.png", "train/cat/leak.png")
    copy(root, "test/dog/1.png", "train/dog/leak.png")
    (note,) = notes(load(root))
    assert note == (
        f"2 test images are among the labeled ones too (copies): {root}/train/cat/leak.png = "
        f"{root}/test/cat/0.png, "
        f"{root}/train/dog/leak.png = {root}/test/dog/1.png: `drop_copies=exact` leaves them out of training"
    )


def test_unlabeled_and_test_and_held_out_images(root: Path) -> None:
    copy(root, "test/cat/0.png", "other/leak.png")
    data = load_two_folders(root / "train", root / "other", root / "test", image_size=32)
    (note,) = notes(data)
    assert note.startswith(f"1 test image is among the unlabeled ones too (copies): {root}/other/leak.png = ")
    for number in range(4):
        copy(root, f"train/cat/{number}.png", f"train/cat/again{number}.png")
    told = notes(load(root), validation=0.5)
    assert any("held out images are among the labeled ones too" in note for note in told)
    told = notes(load(root), per_class=3)
    assert any("unlabeled image is among the labeled ones too" in note for note in told)


def test_one_image_in_two_classes(root: Path) -> None:
    copy(root, "train/dog/1.png", "train/cat/dog.png")
    (note,) = notes(load(root))
    assert note.startswith(f"1 training image is in two classes (copies): {root}/train/cat/dog.png = ")
    (root / "train/dog/link.png").symlink_to(root / "train/cat/0.png")
    assert any(note.startswith("2 training images are in two classes") for note in notes(load(root)))
    copy(root, "test/cat/0.png", "test/dog/cat.png")
    assert any(note.startswith("1 test image is in two classes") for note in notes(load(root)))


def test_arrays_and_datasets(root: Path) -> None:
    images = np.random.default_rng(1).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(8) % 2
    again = np.concatenate([images, images[:1]])
    given = as_dataset((again, [*labels, 1]), test=(images[4:5], labels[4:5]))
    assert [note.split(" (")[0] for note in notes(given)] == [
        "1 test image is among the labeled ones too",
        "1 training image is in two classes",
    ]
    assert "image 4 = image 0" in notes(given)[0]
    items = torch.utils.data.TensorDataset(torch.from_numpy(again), torch.tensor([*labels, 1]))
    assert [note.split(" (")[0] for note in notes(as_dataset(items))] == [
        "1 training image is in two classes"
    ]


def names(data: DataSet) -> list[str]:
    assert data.train.files is not None
    return ["/".join(Path(file).parts[-2:]) for file in data.train.files]


@pytest.mark.parametrize("budget", [None, 0])
def test_copies_are_left_out_when_asked(root: Path, budget: int | None) -> None:
    before = names(load(root))
    copy(root, "test/cat/0.png", "train/cat/leak.png")
    copy(root, "train/dog/1.png", "train/cat/dog.png")
    copy(root, "train/dog/2.png", "train/dog/twice.png")
    data = load(root, drop_copies="exact", memory_budget=budget)
    assert names(data) == [name for name in before if name != "dog/1.png"]
    assert "left out 4 training images that are copies" in data.notes and notes(data) == []
    assert data.train.labels.tolist() == [0] * 4 + [1] * 3 and len(data.train.images) == 7
    cpu, kept = torch.device("cpu"), torch.tensor([0, 1, 2, 3, 6, 8, 9])
    shown = next(data.train.images.batches([torch.arange(7)], cpu))
    assert torch.equal(shown, next(load(root).train.images.batches([kept], cpu)))


def test_a_class_of_copies_alone_is_refused(root: Path) -> None:
    for file in (root / "train/dog").iterdir():
        shutil.copy(root / "test/dog/0.png", file)
    with pytest.raises(UserError, match="`drop_copies=exact` leaves no image of 'dog'"):
        load(root, drop_copies="exact")


def test_groups_of_near_hashes_are_those_of_a_comparison_of_all() -> None:
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**63, 300).astype(np.uint64)
    for _ in range(3):  # some with up to five bits changed
        bits = generator.integers(0, 64, (300, 5)).astype(np.uint64)
        changed = hashes[:300].copy()
        for column in bits.T[: generator.integers(1, 6)]:
            changed ^= np.uint64(1) << column
        hashes = np.concatenate([hashes, changed])
    found = group_near(hashes)
    wanted = np.arange(len(hashes))  # connected components by relabeling until nothing changes
    near = np.bitwise_count(hashes[:, None] ^ hashes[None]) <= NEAR
    while True:
        lowest = np.where(near, wanted[None], len(hashes)).min(axis=1)
        if (lowest == wanted).all():
            break
        wanted = lowest
    assert ((found[:, None] == found[None]) == (wanted[:, None] == wanted[None])).all()
    assert len(set(wanted.tolist())) < len(hashes)


@with_hashes
def test_images_that_look_the_same(root: Path) -> None:
    image = Image.open(root / "test/cat/0.png")
    image.resize((96, 96)).save(root / "train/cat/leak.jpg", quality=70)
    Image.open(root / "train/dog/1.png").save(root / "train/cat/dog.webp")
    assert notes(load(root)) == []
    data = load(root, drop_copies="near")
    assert not {"cat/leak.jpg", "cat/dog.webp", "dog/1.png"} & set(names(data)) and len(names(data)) == 7


def test_without_imagehash_near_copies_are_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imagehash", None)
    with pytest.raises(UserError, match="pip install 'ssl-mix.copies.'"):
        load(root, drop_copies="near")
