"""Files of somebody's own as a data set: folders, lists and tables."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from augmentations import augmentation_of
from PIL import Image

from ssl_mix import UserError
from ssl_mix.datasets import (
    DataSet,
    ImageSet,
    StreamedImages,
    as_dataset,
    load_folder,
    load_table,
    load_two_folders,
)
from ssl_mix.datasets.tables import read_table
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.places import check_test_is_apart

REAL = Path(os.environ.get("SSL_MIX_DATA", "")) / "caltech50"
needs_data = pytest.mark.skipif(not REAL.is_dir(), reason="needs SSL_MIX_DATA")


def save(path: Path, seed: Sequence[int], size: tuple[int, int] = (20, 24)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for place, part in enumerate(("train", "test")):
        for label, name in enumerate(("cat", "dog")):
            for number in range(3):
                save(tmp_path / part / name / f"{number}.png", [place, label, number])
    for number in range(4):
        save(tmp_path / "more" / f"{number % 2}" / f"{number}.png", [9, number])
    return tmp_path


def write(root: Path, text: str, name: str = "labels.csv") -> Path:
    (root / name).write_text(text, encoding="utf-8")
    return root / name


def same(one: DataSet, other: DataSet) -> bool:
    def content(data: DataSet) -> list[Any]:
        parts: list[ImageSet] = [part for part in (data.train, data.test) if part is not None]
        pixels = [
            next(part.images.batches([torch.arange(len(part.images))], torch.device("cpu"))).tolist()
            for part in parts
        ]
        return [
            data.classes,
            data.augmentation,
            pixels,
            [(part.labels.tolist(), part.files) for part in parts],
        ]

    return content(one) == content(other)


def test_folders_are_read_as_by_their_own_loaders(root: Path) -> None:
    train, test, more = (root / name for name in ("train", "test", "more"))
    assert same(as_dataset(train, None, test, image_size=16), load_folder(train, test, image_size=16))
    expected = load_two_folders(train, more, test, image_size=16)
    assert same(as_dataset(str(train), str(more), str(test), image_size=16), expected)


def test_copies_of_labeled_files_are_no_unlabeled_ones(root: Path) -> None:
    (root / "more" / "copy.png").write_bytes((root / "train/cat/0.png").read_bytes())
    data = as_dataset(root / "train", root / "more", image_size=16)
    assert same(data, load_two_folders(root / "train", root / "more", None, image_size=16))
    assert "1 of 5 unlabeled images is labeled too" in data.notes[0]
    with pytest.raises(UserError, match="unlabeled: each of 6 images is labeled too"):
        as_dataset(root / "train", root / "train")


def test_lists_of_files(root: Path) -> None:
    pairs = [(file, file.parent.name) for file in sorted((root / "train").rglob("*.png"))]
    files = sorted((root / "more").rglob("*.png"))
    data = as_dataset(pairs, files, image_size=16)
    assert same(data, load_two_folders(root / "train", root / "more", None, image_size=16))
    numbered = as_dataset([(str(file), int(name == "dog")) for file, name in pairs], image_size=16)
    assert numbered.classes == ("0", "1") and numbered.train.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_the_size_is_that_of_all_images_or_32_with_a_note(root: Path) -> None:
    assert as_dataset(root / "train").notes == (
        "the images have 24x20 pixels and are stored at 32x32: choose another side with `image_size`",
        "6 images are smaller than 32x32 and were enlarged",
    )
    for file in (root / "train").rglob("*.png"):
        save(file, [1], (18, 18))
    data = as_dataset(root / "train")
    assert data.train.images.shape == (3, 18, 18) and not data.notes
    save(root / "train/cat/0.png", [1], (40, 30))
    assert "have 18x18 to 30x40 pixels" in as_dataset(root / "train").notes[0]


def test_a_broken_file_is_left_out_with_a_note(root: Path) -> None:
    (root / "train/cat/1.png").write_bytes(b"no image")
    for budget in (None, 0):
        data = as_dataset(root / "train", root / "more", image_size=16, memory_budget=budget)
        assert len(data.train.labels) == 9 and "left out 1 file" in " ".join(data.notes)
        assert data.train.files is not None and str(root / "train/cat/1.png") not in data.train.files


def test_a_budget_that_does_not_do(root: Path) -> None:
    resident = as_dataset(root / "train", root / "more", image_size=16)
    for workers in (0, 2):
        streamed = as_dataset(root / "train", root / "more", image_size=16, memory_budget=0, workers=workers)
        assert isinstance(streamed.train.images, StreamedImages) and same(streamed, resident)


def test_parts_of_different_kinds(root: Path) -> None:
    arrays = np.random.default_rng(3).integers(0, 256, (5, 16, 16), dtype=np.uint8)
    for budget in (None, 0):
        data = as_dataset(root / "train", arrays, image_size=16, memory_budget=budget)
        found = next(data.train.images.batches([torch.arange(11)], torch.device("cpu")))
        assert data.train.files is None and data.train.labels.tolist() == [0, 0, 0, 1, 1, 1] + [-1] * 5
        np.testing.assert_array_equal(found[6:], arrays[:, None].repeat(3, axis=1))
        expected = load_folder(root / "train", image_size=16).train.images
        assert torch.equal(found[:6], next(expected.batches([torch.arange(6)], torch.device("cpu"))))


TABLE = """file,label
train/cat/0.png,cat
train/dog/1.png,dog
train/cat/2.png,
more/0/0.png,
"""


def test_a_table(root: Path) -> None:
    data = load_table(write(root, TABLE), image_size=16)
    assert data.name == "table" and data.classes == ("cat", "dog")
    assert data.train.labels.tolist() == [0, 1, -1, -1]
    assert data.train.files == tuple(
        str(root / name) for name in ("train/cat/0.png", "train/dog/1.png", "train/cat/2.png", "more/0/0.png")
    )
    tabs = write(root, "\ufeff" + TABLE.replace(",", "\t"), "labels.tsv")
    assert same(load_table(tabs, image_size=16), data)
    absolute = write(root, TABLE.replace("train/", f"{root}/train/"), "absolute.csv")
    assert same(load_table(absolute, image_size=16), data)
    swapped = write(root, 'label,file\n"cat","train/cat/0.png"\ndog,train/dog/1.png\n', "swapped.csv")
    assert load_table(swapped, image_size=16).train.labels.tolist() == [0, 1]


def test_a_table_as_options_of_a_run(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, TABLE)
    tested = write(root, "file,label\ntest/cat/0.png,cat\ntest/dog/0.png,dog\n", "test.csv")
    monkeypatch.chdir(root)
    options = DataOptions(table="labels.csv", test=str(tested), image_size=16).absolute()
    assert options.table == str(root / "labels.csv")
    data = options.load()
    assert data.test is not None and data.test.labels.tolist() == [0, 1]
    split = options.choose_split(data, 0)
    assert split.labeled == (0, 1) and split.unlabeled == (2, 3)
    folder = DataOptions(table="labels.csv", test="test", image_size=16, stored_size=20).load()
    assert folder.test is not None and len(folder.test.labels) == 6
    assert folder.train.images.shape == (3, 20, 20) and augmentation_of(folder).size == 16
    with pytest.raises(UserError, match="`test` and `table` name the same"):
        check_test_is_apart(DataOptions(table="labels.csv", test="labels.csv").folders)


def test_a_table_of_unlabeled_images_needs_no_labels(root: Path) -> None:
    table = write(root, "file\nmore/0/0.png\nmore/1/1.png\n")
    data = as_dataset(root / "train", table, image_size=16)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1, -1, -1] and not any(
        "label" in n for n in data.notes
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a table of file and label in .*labels.csv, cannot read it"),
        ("file,label\n", "labels.csv: no image"),
        ("file,lable\na,b\n", "labels.csv: unknown column 'lable', expected the columns 'file' and 'label'"),
        ("label\ncat\n", "no column 'file', expected"),
        ("file,file\na,b\n", "a column is named twice"),
        ("file,label\ntrain/cat/0.png\n", "row 1 has 1 cell, expected 2"),
        ("file,label\ntrain/cat/0.png,cat\n,dog\n", "row 2 names no file"),
        (
            TABLE + "a.png,cat\nb.png,dog\n",
            "2 of 6 files are not there or not .*a.png, .*b.png",
        ),
        (TABLE + "train/../train/cat/0.png,dog\n", "1 of 5 files is named twice: .*0.png"),
        (TABLE.replace("cat\n", "\n").replace("dog\n", "\n"), "labeled: no image has a label"),
        (TABLE.replace("dog\n", "cat\n"), "expected two or more classes, got 'cat' alone"),
    ],
)
def test_tables_that_are_refused(root: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_table(write(root, text))


def test_a_table_that_is_none(root: Path) -> None:
    with pytest.raises(UserError, match=r"expected a table in .*nowhere.csv, cannot read it: No such file"):
        load_table(root / "nowhere.csv")
    with pytest.raises(UserError, match=r"expected a table in a .csv or .tsv file, got .*train"):
        load_table(root / "train")
    (root / "binary.csv").write_bytes(b"file,label\n\x81.png,cat\n")
    with (
        pytest.warns(UserWarning, match="binary.csv is no UTF-8: read as Windows-1252"),
        pytest.raises(UserError, match=r"in .*binary.csv, cannot read it: 'charmap' codec"),
    ):
        load_table(root / "binary.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.filterwarnings("ignore:.* is no UTF-8")
def test_tables_as_spreadsheets_write_them(root: Path, encoding: str, delimiter: str) -> None:
    rows = [" File ;LABEL", *(f"train\\cat\\{n}.png;K\xe4tzchen" for n in range(3)), "train/dog/0.png;dog"]
    text = "\r\n".join(row.replace(";", delimiter) for row in rows) + "\r\n"
    (root / "labels.csv").write_bytes(text.encode(encoding))
    files, labels = read_table(root / "labels.csv", "labeled")
    assert labels == ["K\xe4tzchen"] * 3 + ["dog"]
    assert files == [root / "train" / "cat" / f"{n}.png" for n in range(3)] + [root / "train/dog/0.png"]


class Frame:
    """What is used of a data frame: the names of its columns, and a column by its name."""

    def __init__(self, **columns: list[Any]) -> None:
        self.values = columns
        self.columns = list(columns)

    def __getitem__(self, name: str) -> list[Any]:
        return self.values[name]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (["cat", None, "dog"], ("cat", "dog")),
        ([0.0, float("nan"), 1.0], ("0", "1")),
        ([0, -1, 1], ("0", "1")),
    ],
)
def test_a_data_frame(root: Path, labels: list[Any], classes: tuple[str, ...]) -> None:
    files = [root / "train/cat/0.png", root / "train/cat/1.png", root / "train/dog/1.png"]
    data = as_dataset(Frame(file=files, label=labels), image_size=16)
    assert data.classes == classes and data.train.labels.tolist() == [0, -1, 1]
    with pytest.raises(UserError, match="labeled: unknown column 'path'"):
        as_dataset(Frame(path=files, label=labels))


def test_a_data_frame_of_pandas(root: Path) -> None:
    pandas = pytest.importorskip("pandas")
    write(root, TABLE)
    frame = pandas.read_csv(root / "labels.csv")
    frame["file"] = [str(root / name) for name in frame["file"]]
    data = as_dataset(frame, image_size=16)
    assert same(data, load_table(root / "labels.csv", image_size=16))
    frame["label"] = pandas.array([0, 1, None, None], dtype="Int64")
    assert as_dataset(frame, image_size=16).train.labels.tolist() == [0, 1, -1, -1]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("a.png", 0)], "labeled: 1 of 1 file is not there or not regular: a.png"),
        ([("a.png", 0), "b.png"], r"labeled: expected only files or only \(file, label\), got 1 pair"),
        ([3, 4], "labeled: expected a folder, .*a list of files .* got a list with int"),
    ],
)
def test_lists_that_are_refused(entries: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        as_dataset(entries)


def test_folders_that_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match="expected a folder of images at .*nowhere, found nothing"):
        as_dataset(root / "nowhere")
    (root / "empty").mkdir()
    with pytest.raises(UserError, match="empty: no image, expected some"):
        as_dataset(root / "train", root / "empty")
    save(root / "other/cow/0.png", [5])
    with pytest.raises(UserError, match="test holds 'cow', which the training images do not"):
        as_dataset(root / "train", test=root / "other")


@needs_data
def test_real_photographs_in_a_folder_and_in_a_table_are_the_same(tmp_path: Path) -> None:
    classes = sorted(entry.name for entry in (REAL / "test").iterdir())[:4]
    files = [file for name in classes for file in sorted((REAL / "test" / name).iterdir())[:8]]
    rows = "\n".join(f"{file},{file.parent.name}" for file in files)
    data = load_table(write(tmp_path, f"file,label\n{rows}\n"), image_size=48)
    pairs = as_dataset([(file, file.parent.name) for file in files], image_size=48)
    assert same(data, pairs) and data.classes == tuple(classes) and len(data.train.labels) == len(files)


def pixels_of(data: DataSet) -> torch.Tensor:
    return next(data.train.images.batches([torch.arange(len(data.train.images))], torch.device("cpu")))


def test_pictures_and_names_in_lists_are_the_same_data(root: Path) -> None:
    files = sorted((root / "train").rglob("*.png"))
    names = [file.parent.name for file in files]
    pictures = [Image.open(file) for file in files]
    arrays = [np.asarray(picture) for picture in pictures]

    class Items:
        """As data sets of Hugging Face give them."""

        def __len__(self) -> int:
            return len(files)

        def __getitem__(self, position: int) -> dict[str, Any]:
            return {"image": pictures[position], "label": names[position]}

    expected = as_dataset(list(zip(files, names, strict=True)), workers=0)
    for form in (
        (files, names),
        (np.array([str(file) for file in files]), np.array(names)),
        (pictures, names),
        list(zip(pictures, names, strict=True)),
        (arrays, names),
        list(zip(arrays, names, strict=True)),
        Items(),
    ):
        found = as_dataset(form, workers=0)
        assert found.classes == expected.classes
        torch.testing.assert_close(found.train.labels, expected.train.labels)
        torch.testing.assert_close(pixels_of(found), pixels_of(expected), atol=0, rtol=0)
    with pytest.raises(UserError, match="as many labels as images, got 5 and 6"):
        as_dataset((files, names[:-1]), workers=0)
    unlabeled = [picture.transpose(Image.Transpose.ROTATE_180) for picture in pictures]
    assert len(as_dataset((files, names), unlabeled, workers=0).train.images) == 12
