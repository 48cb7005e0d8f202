"""Images and masks find each other in every layout, or one sentence says why not."""

from pathlib import Path

import pytest

from ssl_mix.errors import UserError
from ssl_mix.segmentation.pairs import Pair, find_pairs


def touch(folder: Path, names: list[str], ending: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / f"{name}{ending}").touch()
    return folder


@pytest.mark.parametrize(
    ("masks", "lists"),
    [("SegmentationClass", "Segmentation"), ("SegmentationClassContext", "SegmentationContext")],
)
def test_lists_of_pascal_say_what_is_learned_from(masks: str, lists: str, tmp_path: Path) -> None:
    images = touch(tmp_path / "JPEGImages", ["a", "b", "c", "d", "unlisted"], ".jpg")
    folder = touch(tmp_path / masks, ["a", "b", "c", "d"], ".png")
    sets = tmp_path / "ImageSets" / lists
    sets.mkdir(parents=True)
    (sets / "train.txt").write_text("c\na\n")
    (sets / "val.txt").write_text("d\n\nb\n")
    found = find_pairs(images, folder, 0.2, 0)
    assert found.train == [Pair(images / f"{x}.jpg", folder / f"{x}.png") for x in "ca"]
    assert [pair.image.stem for pair in found.test] == ["d", "b"]
    assert found.notes == []
    (sets / "val.txt").unlink()
    with pytest.raises(UserError, match=r"expected a list of images in .*val\.txt"):
        find_pairs(images, folder, 0.2, 0)
    (sets / "val.txt").write_text("e\n")
    with pytest.raises(UserError, match="1 of 1 image has no image, 'e' for one"):
        find_pairs(images, folder, 0.2, 0)


def test_a_share_of_plain_folders_is_held_out(tmp_path: Path) -> None:
    names = [f"{n}" for n in range(10)]
    images, masks = touch(tmp_path / "x", names, ".jpg"), touch(tmp_path / "y", [*names, "more"], ".png")
    found = find_pairs(images, masks, 0.3, 0)
    stems = [[pair.image.stem for pair in part] for part in (found.train, found.test)]
    assert (len(stems[0]), len(stems[1])) == (7, 3)
    assert sorted(stems[0] + stems[1]) == names
    assert all(pair.image.stem == pair.mask.stem for pair in found.train + found.test)
    assert "1 mask in" in found.notes[1]
    assert find_pairs(images, masks, 0.3, 0) == found
    assert find_pairs(images, masks, 0.3, 1) != found


def test_folders_within_the_folders_match_too(tmp_path: Path) -> None:
    for part in ("one", "two"):
        touch(tmp_path / "x" / part, ["a"], ".jpg")
        touch(tmp_path / "y" / part, ["a"], ".png")
    found = find_pairs(tmp_path / "x", tmp_path / "y", 0.5, 0)
    assert all(pair.image.parent.name == pair.mask.parent.name for pair in found.train + found.test)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    images, masks = touch(tmp_path / "x", ["a", "b"], ".jpg"), touch(tmp_path / "y", ["a"], ".png")
    with pytest.raises(UserError, match=r"1 of 2 images has no mask in .*, 'b' for one"):
        find_pairs(images, masks, 0.2, 0)
    (images / "b.jpg").unlink()
    with pytest.raises(UserError, match="at least two images with masks"):
        find_pairs(images, masks, 0.2, 0)
    with pytest.raises(UserError, match="expected a folder"):
        find_pairs(images, tmp_path / "nothing", 0.2, 0)
    touch(images, ["a"], ".png")
    with pytest.raises(UserError, match="have the same name"):
        find_pairs(images, masks, 0.2, 0)
