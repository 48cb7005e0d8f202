"""One folder with labels and one without."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from ssl_mix.datasets import DataSet, choose_split, load_two_folders
from ssl_mix.errors import UserError


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Six labeled images in two classes; five unlabeled ones, two of them in sub-folders."""
    labeled, unlabeled = tmp_path / "labeled", tmp_path / "unlabeled"
    names = [labeled / name / f"{number}.bmp" for name in ("cat", "dog") for number in range(3)]
    names += [unlabeled / name for name in ("1.bmp", "2.bmp", "3.bmp", "x/4.bmp", "x/y/5.bmp")]
    for path in names:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((16, 16), 60).save(path)  # files of one size that differ
    return labeled, unlabeled


def load(folders: tuple[Path, Path], test: Path | None = None) -> DataSet:
    return load_two_folders(*folders, test, image_size=16)


def test_both_parts_are_training_pictures(folders: tuple[Path, Path]) -> None:
    labeled, unlabeled = folders
    data = load(folders)
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1, -1, -1, -1, -1, -1]
    assert data.train.files is not None and not data.notes and data.test is None
    assert data.train.files[6:] == tuple(
        str(unlabeled / name) for name in ("1.bmp", "2.bmp", "3.bmp", "x/4.bmp", "x/y/5.bmp")
    )
    split = choose_split(data.train.labels, 2, seed=0, classes=data.classes)
    assert split.labeled == tuple(range(6)) and split.unlabeled == tuple(range(6, 11))


def test_the_test_folder(folders: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(folders[0], tmp_path / "test")
    found = load(folders, tmp_path / "test").test
    assert found is not None and found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    shutil.rmtree(tmp_path / "test" / "dog")
    data = load(folders, tmp_path / "test")
    assert data.test is not None and data.test.labels.tolist() == [0, 0, 0]
    assert f"{tmp_path / 'test'} has no image of 'dog': accuracy is over the other classes" in data.notes


def test_copies_of_labeled_pictures_are_left_out(folders: tuple[Path, Path]) -> None:
    labeled, unlabeled = folders
    shutil.copy(labeled / "cat" / "0.bmp", unlabeled / "copy.bmp")
    (unlabeled / "link.bmp").symlink_to(labeled / "dog" / "1.bmp")
    (unlabeled / "x" / "hard.bmp").hardlink_to(labeled / "dog" / "2.bmp")
    data = load(folders)
    assert (data.train.labels == -1).sum() == 5
    assert data.notes == (
        f"3 of 8 images in {unlabeled} are labeled too (the same bytes): left out of the unlabeled part",
    )


def test_the_labeled_folder_inside_the_unlabeled_one(folders: tuple[Path, Path]) -> None:
    labeled, unlabeled = folders
    shutil.move(labeled, unlabeled / "labeled")
    data = load((unlabeled / "labeled", unlabeled))
    assert data.train.labels.tolist() == [0, 0, 0, 1, 1, 1, -1, -1, -1, -1, -1]
    assert data.notes[0].startswith("6 of 11 images")


def test_files_that_cannot_be_read_are_left_to_the_decoder(folders: tuple[Path, Path]) -> None:
    (folders[1] / "gone.bmp").symlink_to(folders[1] / "nowhere.bmp")
    (note,) = load(folders).notes
    assert "left out 1 file that cannot be read" in note and "gone.bmp (No such file or directory)" in note


def test_nothing_unlabeled(folders: tuple[Path, Path]) -> None:
    labeled, unlabeled = folders
    words = "labeled holds no unlabeled images: found 6, 6 of them labeled; leave out `unlabeled`"
    with pytest.raises(UserError, match=words):
        load((labeled, labeled))
    shutil.rmtree(unlabeled)
    with pytest.raises(UserError, match="expected a folder of images at .*unlabeled, found nothing"):
        load(folders)
    unlabeled.mkdir()
    with pytest.raises(UserError, match="unlabeled holds no unlabeled images: found 0"):
        load(folders)


def test_unlabeled_pictures_that_are_all_broken(folders: tuple[Path, Path]) -> None:
    for path in folders[1].rglob("*.bmp"):
        path.write_text(f"no image {path}")
    with pytest.raises(UserError, match="none of the training images of the unlabeled part can be read"):
        load(folders)


def test_a_labeled_folder_without_classes(folders: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="cat holds images but no sub-folders"):
        load((folders[0] / "cat", folders[1]))
