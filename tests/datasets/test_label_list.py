"""Which training images a list of paths means, and lists that are refused."""

import os
from pathlib import Path

import pytest
import torch

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets import (
    DataSet,
    ImageSet,
    ResidentImages,
    choose_split,
    load_digits_data,
    read_label_list,
)
from ssl_mix.errors import UserError
from ssl_mix.runs.data_options import DataOptions

BIRDS = ("001.Tern/1.jpg", "001.Tern/2.jpg", "002.Old Swallow/1.jpg", "002.Old Swallow/new 3.jpg")


def data_of(files: list[str], labels: list[int], classes: tuple[str, ...]) -> DataSet:
    """A data set of these files, which need not exist: its images are black."""
    images = ResidentImages(torch.zeros(len(files), 1, 8, 8, dtype=torch.uint8))
    train = ImageSet(images, torch.tensor(labels), tuple(files))
    return DataSet("birds", classes, train, None, Augmentation((0.0,), (1.0,)))


def birds(prefix: str = "/images/CUB_200_2011/images") -> DataSet:
    return data_of([f"{prefix}/{file}" for file in BIRDS], [0, 0, 1, 1], ("tern", "swallow"))


def flat() -> DataSet:
    return data_of([f"/images/jpg/{number}.jpg" for number in range(4)], [0, 0, 1, 1], ("a", "b"))


def write(folder: Path, content: str) -> Path:
    path = folder / "list.txt"
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "content",
    [
        "001.Tern/2.jpg\n002.Old Swallow/new 3.jpg\n",
        "train/001.Tern/2.jpg\ntrain/002.Old Swallow/new 3.jpg",
        "train/001.Tern/2.jpg 0\ntrain/002.Old Swallow/new 3.jpg\t1\n",
        "\n  images/001.Tern/2.jpg  \r\n\r\n./002.Old Swallow/new 3.jpg -1\r\n",
        "train\\001.Tern\\2.jpg\r\n002.Old Swallow\\new 3.jpg\r\n",
        "\ufeff/images/CUB_200_2011/images/001.Tern/2.jpg\n002.Old Swallow/new 3.jpg",
    ],
)
def test_ways_to_write_the_same_list(tmp_path: Path, content: str) -> None:
    assert read_label_list(write(tmp_path, content), birds()) == (1, 3)


def test_positions_are_in_the_order_of_the_lines(tmp_path: Path) -> None:
    content = "train/002.Old Swallow/1.jpg\ntrain/001.Tern/1.jpg\n"
    assert read_label_list(write(tmp_path, content), birds()) == (2, 0)


def test_the_file_name_is_enough_where_folders_name_no_class(tmp_path: Path) -> None:
    assert read_label_list(write(tmp_path, "train/737-200/3.jpg 0\ntrain/F-16 A/0.jpg\n"), flat()) == (3, 0)


def test_a_file_of_another_kind_is_not_quoted_whole(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="names no training image") as told:
        read_label_list(write(tmp_path, "[" + "0, " * 9999 + "]"), birds())
    assert len(str(told.value)) < 600


@pytest.mark.parametrize("line", ["001.Tern/new 3.jpg", "train/001.Tern/new 3.jpg", "ern/1.jpg", ".", "1.jp"])
def test_no_picture_of_another_class_or_of_a_similar_name_is_taken(tmp_path: Path, line: str) -> None:
    with pytest.raises(UserError, match="1 of 1 line in .*list.txt names no training image"):
        read_label_list(write(tmp_path, line), birds())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a/1.jpg\nb/1.jpg\n001.Tern/1.jpg\nc/1.jpg\nd/1.jpg",
            "4 of 5 .*: 'a/1.jpg', 'b/1.jpg', 'c/1.jpg' and 1 more",
        ),
        ("1.jpg\n", "1 of 1 line in .* names several training images: '1.jpg'"),
        (
            "001.Tern/1.jpg\n001.Tern/2.jpg\ntrain/001.Tern/1.jpg 4\n",
            "1 of 3 lines in .* for the second time: 'train/001.Tern/1.jpg'",
        ),
    ],
)
def test_lines_that_are_refused(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_label_list(write(tmp_path, content), birds())


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a list of images, one a line, in .*nowhere.txt"):
        read_label_list(tmp_path / "nowhere.txt", birds())
    (tmp_path / "image.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(UserError, match=r"expected a list of images, one a line, in .*image.jpg"):
        read_label_list(tmp_path / "image.jpg", birds())


def test_data_sets_without_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="a label list names files, which the images of digits are not"):
        read_label_list(write(tmp_path, "1.jpg"), load_digits_data())


def test_exactly_the_listed_pictures_are_labeled(tmp_path: Path) -> None:
    options = DataOptions(label_list=str(write(tmp_path, "001.Tern/2.jpg\n002.Old Swallow/1.jpg")))
    split = options.choose_split(birds(), 0)
    assert (split.labeled, split.validation, split.unlabeled) == ((1, 2), (), (0, 3))


def test_some_of_the_listed_pictures_are_held_out() -> None:
    labels = torch.arange(40) % 2
    split = choose_split(labels, 2, listed=range(20), validation=0.2, seed=0, classes=("a", "b"))
    assert labels[list(split.validation)].tolist().count(0) == 2 and len(split.validation) == 4
    assert sorted((*split.labeled, *split.validation)) == list(range(20))
    assert split.unlabeled == tuple(range(20, 40))


def test_a_class_without_a_listed_picture(tmp_path: Path) -> None:
    options = DataOptions(label_list=str(write(tmp_path, "001.Tern/2.jpg")))
    with pytest.raises(UserError, match="1 of 2 classes has no listed image, each needs some: 'swallow'"):
        options.choose_split(birds(), 0)


def test_pictures_without_a_label_cannot_be_listed() -> None:
    labels = torch.tensor([0, 1, -1, -1])
    with pytest.raises(UserError, match="2 of 4 listed images are not labeled, the first at position 2"):
        choose_split(labels, 2, listed=[0, 1, 3, 2], seed=0, classes=("a", "b"))


def test_a_list_and_a_rate(tmp_path: Path) -> None:
    options = DataOptions(label_list=str(write(tmp_path, "001.Tern/2.jpg")), label_rate=0.5)
    with pytest.raises(UserError, match="label rate or the label list, not both: got 0.5 and 1 image"):
        options.choose_split(birds(), 0)


def test_the_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert DataOptions(data="digits", label_list="list.txt").absolute().label_list == str(
        tmp_path / "list.txt"
    )


@pytest.mark.parametrize("percent", [15, 30, 50])
@pytest.mark.parametrize(
    ("name", "has_folders"),
    [("cub200", True), ("stanford_cars", True), ("FGVCAircraft", True), ("FGVCAircraft", False)],
)
def test_published_lists(name: str, has_folders: bool, percent: int) -> None:
    """On files in folders of classes, and for aircraft in one folder as the authors have them."""
    folder = Path(os.environ.get("SSL_MIX_DATA", ""), "transfer-splits")
    if "SSL_MIX_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("SSL_MIX_DATA does not hold transfer-splits with the published lists")
    everything = sorted((folder / f"{name}_100_train.txt").read_text().splitlines())
    chosen = folder / f"{name}_{percent}_train.txt"
    pairs = [line.split("/")[1:] for line in everything]
    classes = sorted({label for label, _ in pairs})
    files = [
        f"/images/images/{label}/{file}" if has_folders else f"/images/images/{file}" for label, file in pairs
    ]
    data = data_of(files, [classes.index(label) for label, _ in pairs], tuple(classes))
    split = DataOptions(label_list=str(chosen)).choose_split(data, 0)
    assert {everything[position] for position in split.labeled} == set(chosen.read_text().splitlines())
    assert len(split.labeled) + len(split.unlabeled) == len(everything)
