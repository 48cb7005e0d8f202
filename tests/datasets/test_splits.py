"""Which images are labeled: balanced, nested, the same everywhere."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_mix.datasets import Split, choose_split
from ssl_mix.errors import UserError

LABELS = torch.arange(200) % 4
CLASSES = ("ant", "bee", "cat", "dog")
WORDS = '{"labeled": ["a"], "validation": [], "unlabeled": [], "seed": 0, "sha256": ""}'


def split(labels: torch.Tensor = LABELS, seed: int = 0, **options: object) -> Split:
    return choose_split(labels, 4, seed=seed, classes=CLASSES, **options)  # type: ignore[arg-type]


def test_the_choice_is_frozen() -> None:
    found = split(labels_total=8, validation=0.5)
    assert found.labeled == (14, 17, 87, 192)
    assert found.validation == (16, 54, 71, 109)
    assert found.sha256 == "832a103c06b6254f5b549120c3d4e5e3bbdad2aae81ea0b8b0697573e49d8576"


def test_the_choice_is_the_first_by_hash() -> None:
    def rank(position: int) -> str:
        return hashlib.sha256(f"7/split/{position}".encode()).hexdigest()

    expected = sorted(i for label in range(4) for i in sorted(range(label, 200, 4), key=rank)[:3])
    assert split(seed=7, per_class=3).labeled == tuple(expected)


def test_the_checksum_is_of_little_endian_int64() -> None:
    found = split(labels_total=40)
    assert found.sha256 == hashlib.sha256(np.array(found.labeled, dtype="<i8").tobytes()).hexdigest()


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.integers(-1, 3), max_size=60).map(lambda extra: [0, 1, 2, 3] * 6 + extra),
    per_class=st.integers(1, 6),
    seed=st.integers(0, 2**40),
    validation=st.floats(0.5, 0.99),
    include=st.booleans(),
)
def test_parts_are_balanced_and_apart(
    labels: list[int], per_class: int, seed: int, validation: float, include: bool
) -> None:
    share = validation if per_class > 1 else 0.0
    given_labels = torch.tensor(labels)
    found = split(given_labels, seed, per_class=per_class, validation=share, include_labeled=include)
    held = min(int(share * per_class), per_class - 1)
    assert np.bincount(given_labels[list(found.labeled)], minlength=4).tolist() == [per_class - held] * 4
    if held:
        assert np.bincount(given_labels[list(found.validation)], minlength=4).tolist() == [held] * 4
    labeled, validated, unlabeled = map(set, (found.labeled, found.validation, found.unlabeled))
    everything = set(range(len(labels)))
    assert not labeled & validated
    assert unlabeled == everything - validated - (set() if include else labeled)
    for part in (found.labeled, found.validation, found.unlabeled):
        assert list(part) == sorted(part)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), few=st.integers(1, 25), more=st.integers(25, 50))
def test_fewer_labels_are_among_more(seed: int, few: int, more: int) -> None:
    assert set(split(seed=seed, per_class=few).labeled) <= set(split(seed=seed, per_class=more).labeled)


def test_seeds_choose_differently_and_total_and_per_class_alike() -> None:
    assert split(seed=0, labels_total=40).labeled != split(seed=1, labels_total=40).labeled
    assert split(labels_total=40) == split(per_class=10)


def test_without_a_number_all_labeled_pictures_are_taken() -> None:
    labels = LABELS.clone()
    labels[::3] = -1
    found = split(labels)
    assert found.labeled == tuple(torch.nonzero(labels >= 0).flatten().tolist())
    assert found.unlabeled == tuple(range(0, 200, 3))
    assert split().unlabeled == ()


@pytest.mark.parametrize(("share", "held"), [(0.29, 29), (0.1, 10), (0.999, 99), (1 - 1e-15, 99), (0.0, 0)])
def test_the_held_out_share_is_rounded_down_and_leaves_one(share: float, held: int) -> None:
    found = choose_split(torch.arange(200) % 2, 2, seed=0, validation=share, classes=("a", "b"))
    assert len(found.validation) == 2 * held and len(found.labeled) == 200 - 2 * held


def test_a_class_with_one_picture_keeps_it() -> None:
    labels = torch.tensor([0] * 9 + [1])
    found = choose_split(labels, 2, seed=0, validation=0.5, classes=("a", "b"))
    assert 9 in found.labeled and len(found.validation) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels_total": 42}, "42 labels cannot be shared equally by 4 classes: take 40 or 44"),
        ({"labels_total": 3}, "take 4 or 8"),
        ({"labels_total": 0}, "must be above 0, got 0"),
        ({"labels_total": -4}, "must be above 0, got -4"),
        ({"per_class": 0}, "must be above 0, got 0"),
        ({"labels_total": 40, "per_class": 10}, "not both: got 40 and 10"),
        ({"labels_total": 204}, "class 'ant' has 50 labeled images, fewer than the 51 per class"),
        ({"per_class": 51}, "class 'ant' has 50 labeled images, fewer than the 51 per class"),
        ({"validation": 1.0}, r"validation must lie in \[0, 1\), got 1.0"),
        ({"validation": -0.1}, r"validation must lie in \[0, 1\), got -0.1"),
        (
            {"per_class": 4, "validation": 0.2},
            "validation=0.2 of 4 labeled images per class holds out none",
        ),
        ({"per_class": 1, "validation": 0.9}, "holds out none"),
    ],
)
def test_mistakes(options: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        split(**options)


def test_the_class_that_is_short_is_named() -> None:
    labels = torch.tensor([0, 1, 2, 3, 0, 1, 3])
    with pytest.raises(UserError, match="class 'cat' has 1 labeled image, fewer than the 2"):
        split(labels, per_class=2)


def test_saving_and_loading(tmp_path: Path) -> None:
    found = split(labels_total=40, validation=0.25)
    found.save(tmp_path / "split.json")
    assert Split.load(tmp_path / "split.json") == found


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    split(labels_total=40).save(path)
    content = json.loads(path.read_text())
    content["labeled"][0] += 1
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="split.json was changed"):
        Split.load(path)


@pytest.mark.parametrize("content", [None, "", "[1]", '{"labeled": [1]}', '{"labeled": 3}', WORDS])
def test_what_is_no_split_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "split.json").write_text(content)
    with pytest.raises(UserError, match="split.json is damaged, expected a split .*: put a copy"):
        Split.load(tmp_path / "split.json")
