"""Labels that are added to a data set and to a split."""

from pathlib import Path

import pytest
import torch

from ssl_mix.datasets import Split, as_dataset, choose_split
from ssl_mix.datasets.added_labels import more_labeled, with_added_labels
from ssl_mix.datasets.splits import checksum
from ssl_mix.errors import UserError

NAMES = ["cat", "dog", "cat", "dog", "", ""]


def test_added_labels_are_in_the_split_and_in_the_data(tmp_path: Path) -> None:
    data = as_dataset((torch.zeros(6, 8, 8, dtype=torch.uint8), NAMES))
    split = choose_split(data.train.labels, 2, per_class=1, seed=0, classes=data.classes)
    more = more_labeled(split, {5: 1})
    assert more.labeled == tuple(sorted((*split.labeled, 5))) and more.sha256 == checksum(more.labeled)
    assert 5 not in more.unlabeled and more.added == ((5, 1),)
    assert with_added_labels(data, more).train.labels.tolist() == [0, 1, 0, 1, -1, 1]
    assert data.train.labels.tolist() == [0, 1, 0, 1, -1, -1]
    assert with_added_labels(data, split) is data
    more.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == more
    again = more_labeled(more, {4: 0})
    assert again.added == ((4, 0), (5, 1))


def test_unlabeled_parts_that_hold_labeled_images_keep_them() -> None:
    split = choose_split(
        torch.tensor([0, 0, 1, 1]), 2, per_class=1, seed=0, include_labeled=True, classes=("a", "b")
    )
    free = next(i for i in range(4) if i not in split.labeled)
    assert more_labeled(split, {free: 0}).unlabeled == (0, 1, 2, 3)


def test_positions_that_are_not_there_are_refused() -> None:
    data = as_dataset((torch.zeros(6, 8, 8, dtype=torch.uint8), NAMES))
    split = choose_split(data.train.labels, 2, seed=0, classes=data.classes)
    with pytest.raises(UserError, match="image 0 is none of them"):
        more_labeled(split, {0: 1})
    with pytest.raises(UserError, match="the split labels image 9, and there are 6"):
        with_added_labels(data, more_labeled(Split((), (), (9,), 0, ""), {9: 0}))
