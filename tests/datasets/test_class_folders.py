"""Sub-folders as classes: names that look the same, junk beside them, links, and layouts that are none."""

import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from ssl_mix.datasets import DataSet, as_dataset, list_images, load_folder, load_two_folders
from ssl_mix.errors import UserError

COMPOSED = "B\u00e4ckerei"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def add(folder: Path, *names: str) -> Path:
    """Write images that all differ."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((16, 16), 60).convert("RGB").save(path)
    return folder


def load(train: Path, test: Path | None = None) -> DataSet:
    return load_folder(train, test, image_size=16)


@pytest.mark.parametrize(
    "names", [(COMPOSED, DECOMPOSED), ("cat", "cat "), (" cat", "cat"), (DECOMPOSED, DECOMPOSED + " ")]
)
def test_names_that_look_the_same_are_one_class_and_that_is_said(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    data = load(add(tmp_path, f"{names[0]}/1.png", f"{names[1]}/2.png", "dog/3.png"))
    name = unicodedata.normalize("NFC", names[0]).strip()
    assert sorted(data.classes) == sorted([name, "dog"])
    assert sorted(data.train.labels.tolist()) == sorted(
        [data.classes.index(name)] * 2 + [data.classes.index("dog")]
    )
    assert any("look the same and are one class" in note and repr(name) in note for note in data.notes)


@pytest.mark.parametrize("form", ["folders", "given"])
@pytest.mark.parametrize(
    ("train", "test"),
    [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), ("cat", "cat "), ("cat", "Cat"), ("Cat", " CAT")],
)
def test_a_test_folder_is_matched_by_name(tmp_path: Path, train: str, test: str, form: str) -> None:
    folders = add(tmp_path / "train", f"{train}/1.png", "dog/2.png"), add(tmp_path / "test", f"{test}/3.png")
    data = load(*folders) if form == "folders" else as_dataset(folders[0], test=folders[1], image_size=16)
    assert data.test is not None
    assert data.classes[data.test.labels[0]] == unicodedata.normalize("NFC", train).strip()
    assert any("no image of 'dog'" in note for note in data.notes)
    is_respelt = test.strip().casefold() != test.strip() and test.strip() != train
    assert any("matched by name" in note for note in data.notes) == (is_respelt and train[0] != "B")


def test_classes_that_differ_in_capitals_stay_apart_and_that_is_said(tmp_path: Path) -> None:
    data = load(
        add(tmp_path / "train", "Polish/1.png", "polish/2.png"), add(tmp_path / "test", "polish/3.png")
    )
    assert data.classes == ("Polish", "polish") and data.test is not None
    assert data.test.labels.tolist() == [1]
    assert any("'Polish', 'polish'" in note and "capitals alone" in note for note in data.notes)


def test_names_in_tables_are_compared_as_they_look(tmp_path: Path) -> None:
    add(tmp_path, "1.png", "2.png", "3.png", "4.png")
    rows = f"file,label\n1.png,{COMPOSED}\n2.png,{DECOMPOSED}\n3.png,dog\n4.png, dog\n"
    (tmp_path / "t.csv").write_text(rows, encoding="utf-8")
    assert as_dataset(tmp_path / "t.csv", image_size=16).train.labels.tolist() == [0, 0, 1, 1]


def test_a_class_more_and_a_class_less_in_the_test_folder(tmp_path: Path) -> None:
    train = add(tmp_path / "train", "cat/1.png", "cow/2.png", "dog/3.png")
    test = add(tmp_path / "test", "cat/4.png", "pig/5.png", "pig/6.png", "cow/7.png")
    for data in (load(train, test), as_dataset(train, test=test, image_size=16)):
        assert data.test is not None and data.test.labels.tolist() == [0, 1]
        assert any("2 images of 'pig', no class" in note and "left out" in note for note in data.notes)
        assert any("no image of 'dog': accuracy is over the other classes" in note for note in data.notes)


def test_what_systems_leave_behind_is_passed_over(tmp_path: Path) -> None:
    junk = ("__MACOSX/cat/._1.jpg", "cat/.ipynb_checkpoints/1.jpg", "cat/__MACOSX/2.jpg", "dog/@eaDir/1.jpg")
    train = add(
        tmp_path / "train", "cat/1.jpg", "dog/2.jpg", *junk, "cat/._1.jpg", ".git/3.jpg", "$RECYCLE.BIN/4.jpg"
    )
    for name in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "dog/desktop.ini", "dog/ehthumbs.db"):
        (train / name).write_text("?")
    data = load(train)
    assert data.classes == ("cat", "dog") and data.train.labels.tolist() == [0, 1] and data.notes == ()
    assert [path.name for path in list_images(train)] == ["1.jpg", "2.jpg"]


@pytest.mark.parametrize("parts", [("train", "test", "unl"), ("Train", "VAL"), ("train", "valid", "test")])
@pytest.mark.parametrize("deep", [True, False])
def test_the_root_of_a_layout_is_no_folder_of_classes(
    tmp_path: Path, parts: tuple[str, ...], deep: bool
) -> None:
    names = [f"{part}/{name}" for part in parts for name in ("cat/1.png", "dog/2.png")]
    add(tmp_path, *(names if deep else [name.replace("/cat", "").replace("/dog", "") for name in names]))
    for load_it in (lambda: load(tmp_path), lambda: as_dataset(tmp_path, image_size=16)):
        with pytest.raises(UserError, match="parts of a data set and no classes.*[Tt]rain maybe.*train=DIR"):
            load_it()


@pytest.mark.parametrize("parts", [("fold1", "fold2"), ("trn", "tst", "rest")])
def test_other_layouts_are_said(tmp_path: Path, parts: tuple[str, ...]) -> None:
    add(tmp_path, *(f"{part}/{name}/1.png" for part in parts for name in ("cat", "dog")))
    (note,) = (note for note in load(tmp_path).notes if "sub-folders" in note)
    assert "('cat', 'dog'): if those are the classes" in note and all(part in note for part in parts)


def test_folders_within_classes_are_not_suspicious(tmp_path: Path) -> None:
    add(tmp_path, "cat/a/1.png", "cat/b/2.png", "dog/c/3.png", "dog/d/4.png", "train/5.png", "bus/6.png")
    assert load(tmp_path).notes == () and load(tmp_path).classes == ("bus", "cat", "dog", "train")


def test_links_do_not_make_dogs_cats(tmp_path: Path) -> None:
    train = add(tmp_path / "train", "cat/1.png", "dog/2.png", "dog/deep/3.png")
    for name, target in (("up", ".."), ("dogs", "../dog"), ("deep", "../dog/deep"), ("self", ".")):
        (train / "cat" / name).symlink_to(target, target_is_directory=True)
    data = load(train)
    assert data.train.labels.tolist() == [0, 1, 1]
    for name in ("up", "dogs", "deep"):
        assert any(str(train / "cat" / name) in note and "left out" in note for note in data.notes)
    assert not any("self" in note for note in data.notes)


def test_links_of_an_unlabeled_folder_to_what_is_around_it(tmp_path: Path) -> None:
    add(tmp_path, "l/cat/1.png", "l/dog/2.png", "t/cat/3.png", "u/4.png")
    (tmp_path / "u" / "loop").symlink_to("..", target_is_directory=True)
    data = load_two_folders(tmp_path / "l", tmp_path / "u", image_size=16)
    assert data.train.labels.tolist() == [0, 1, -1]
    assert any("loop" in note for note in data.notes)


def test_folders_that_cannot_be_read_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = add(tmp_path, "cat/1.png", "cat/locked/2.png", "dog/3.png")
    scan = os.scandir

    def locked(path: str) -> object:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", locked)
    monkeypatch.setattr(Path, "iterdir", lambda self: (self / name for name in os.listdir(self)))
    assert f"cannot look into {train / 'cat' / 'locked'}: Permission denied" in load(train).notes
