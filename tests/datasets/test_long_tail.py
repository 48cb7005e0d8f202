"""Long tails of labeled and unlabeled images, and classes that nobody labeled."""

import math

import numpy as np
import pytest
import torch

from ssl_mix.datasets import choose_split, load_digits_data
from ssl_mix.datasets.long_tail import long_tail
from ssl_mix.datasets.unknown_classes import with_unknown_classes
from ssl_mix.errors import UserError
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.prepared import prepare

NAMES = tuple("abcdefghij")
LABELS = torch.arange(3000) % 10


def counts(positions: tuple[int, ...], labels: torch.Tensor = LABELS) -> list[int]:
    return np.bincount(labels[list(positions)], minlength=10).tolist()


@pytest.mark.parametrize(("most", "ratio"), [(100, 100), (150, 50), (100, 20), (37, 1)])
def test_the_tail_is_the_published_one(most: int, ratio: float) -> None:
    published = [int(most * (1 / ratio) ** (c / 9) + 1e-9) for c in range(10)]  # get_img_num_per_cls
    assert long_tail([300] * 10, NAMES, ratio, most) == published
    assert long_tail([300] * 10, NAMES, -ratio, most) == published[::-1]
    assert published[0] == most and published[-1] == most // ratio


def test_without_a_number_the_tail_is_as_long_as_the_images_allow() -> None:
    sizes = [300, 40, *[300] * 8]
    found = long_tail(sizes, NAMES, 20)
    assert all(count <= size for count, size in zip(found, sizes, strict=True))
    assert found[0] == math.floor(40 * 20 ** (1 / 9)) and found[1] in (39, 40)


@pytest.mark.parametrize("include", [True, False])
def test_labeled_and_unlabeled_images_have_tails_of_their_own(include: bool) -> None:
    found = choose_split(
        LABELS,
        10,
        per_class=100,
        imbalance=100,
        imbalance_unlabeled=-50,
        unlabeled_per_class=150,
        include_labeled=include,
        seed=3,
        classes=NAMES,
    )
    assert counts(found.labeled) == long_tail([300] * 10, NAMES, 100, 100)
    assert counts(found.unlabeled) == long_tail([300] * 10, NAMES, -50, 150)
    assert bool({*found.labeled} & {*found.unlabeled}) is include
    balanced = choose_split(LABELS, 10, per_class=100, seed=3, classes=NAMES)
    assert {*found.labeled} <= {*balanced.labeled}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"imbalance": 0.5}, "`imbalance` is how many times .* at least 1, got 0.5"),
        ({"imbalance": -10.0}, "at least 1, got -10"),
        ({"imbalance_unlabeled": 0.0}, "imbalance_unlabeled must be above 0"),
        ({"imbalance_unlabeled": -0.5}, "at most -1"),
        ({"imbalance": 200.0, "per_class": 100}, "no image where the commonest has 100: .* at least 200"),
        ({"imbalance": 10.0, "per_class": 301}, "class 'a' has 300 images, fewer than the 301"),
        ({"imbalance": 10.0, "labels_total": 100}, "`imbalance` takes `labels_per_class`"),
        ({"imbalance": 10.0, "rate": 0.1}, "`imbalance` takes `labels_per_class`"),
        ({"imbalance": 10.0, "listed": range(10)}, "leave out `imbalance`, or the list"),
        ({"unlabeled_per_class": 0}, "commonest class must be above 0"),
    ],
)
def test_what_makes_no_tail_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        choose_split(LABELS, 10, seed=0, classes=NAMES, **options)  # type: ignore[arg-type]


def test_images_of_classes_that_nobody_knows_have_no_tail() -> None:
    labels = torch.cat((LABELS, torch.full((5,), -1)))
    with pytest.raises(UserError, match="which of some unlabeled ones are not known"):
        choose_split(labels, 10, per_class=4, imbalance_unlabeled=5, seed=0, classes=NAMES)
    found = choose_split(
        labels, 10, per_class=4, imbalance_unlabeled=5, foreign=labels < 0, seed=0, classes=NAMES
    )
    assert {*range(3000, 3005)} <= {*found.unlabeled}


def test_unknown_classes_are_unlabeled_and_in_no_test_part() -> None:
    data = load_digits_data()
    found = with_unknown_classes(data, 4)
    assert found.test is not None and data.test is not None and found.train.foreign is not None
    assert found.classes == data.classes[:6]
    assert torch.equal(found.train.labels, torch.where(data.train.labels < 6, data.train.labels, -1))
    assert torch.equal(found.train.foreign, data.train.labels >= 6)
    kept = torch.nonzero(data.test.labels < 6)[:, 0]
    assert torch.equal(found.test.labels, data.test.labels[kept])
    cpu = torch.device("cpu")
    [some], [same] = (
        found.test.images.batches([torch.tensor([5, 0])], cpu),
        data.test.images.batches([kept[[5, 0]]], cpu),
    )
    assert torch.equal(some, same) and with_unknown_classes(data, 0) is data
    with pytest.raises(UserError, match="leaves fewer than two to tell apart: take 8 at most"):
        with_unknown_classes(data, 9)


def test_a_run_has_them_by_its_options() -> None:
    words = {"data": "digits", "unknown_classes": 4, "imbalance": 5, "labels_per_class": 10, "steps": 2}
    prepared = prepare(build_run("fixmatch", words | {"imbalance_unlabeled": -5}).run)
    split, data = prepared.split, prepared.data
    labels = data.train.labels
    assert counts(split.labeled, labels)[:6] == [10, 7, 5, 3, 2, 2]
    assert data.train.foreign is not None and int(data.train.foreign[list(split.unlabeled)].sum()) == 570
    free = labels[list(split.unlabeled)]
    own = np.bincount(free[free >= 0], minlength=6)
    assert (np.diff(own) > 0).all() and own[-1] // own[0] == 5
