"""A share of each class's labels, and as many as the published lists of fine-grained transfer have."""

import os
from collections import Counter
from fractions import Fraction
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_mix.datasets import choose_split, load_digits_data
from ssl_mix.datasets.label_counts import label_counts
from ssl_mix.errors import UserError
from ssl_mix.runs.data_options import DataOptions

PARTS = ("cub200", "stanford_cars", "FGVCAircraft")
CUB = [30] * 194 + [29] * 6


def names(count: int) -> list[str]:
    return [str(number) for number in range(count)]


def published(name: str) -> list[str]:
    """The class of each line of a published list."""
    root = os.environ.get("SSL_MIX_DATA")
    file = Path(root or "", "transfer-splits", f"{name}.txt")
    if root is None or not file.is_file():
        pytest.skip("SSL_MIX_DATA does not hold transfer-splits with the published lists")
    return [line.split("/")[1] for line in file.read_text().splitlines()]


@pytest.mark.parametrize(("rate", "total"), [(0.15, 1000), (0.3, 1800), (0.5, 3000), (1.0, 5994)])
def test_totals_of_cub200(rate: float, total: int) -> None:
    assert sum(label_counts(CUB, names(200), rate=rate)) == total


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("percent", [15, 30, 50])
def test_counts_per_class_of_the_published_lists(name: str, percent: int) -> None:
    everything = published(f"{name}_100_train")
    classes = sorted(set(everything))
    labels = torch.tensor([classes.index(label) for label in everything])
    split = choose_split(labels, len(classes), rate=percent / 100, seed=0, classes=classes)
    found = Counter(classes[label] for label in labels[list(split.labeled)].tolist())
    assert found == Counter(published(f"{name}_{percent}_train"))


@settings(max_examples=200, deadline=None)
@given(percent=st.integers(1, 100), size=st.integers(0, 10_000))
def test_counts_are_those_of_exact_arithmetic(percent: int, size: int) -> None:
    assert label_counts([size], ["a"], rate=percent / 100) == [ceil(Fraction(percent, 100) * size)]


def test_a_class_keeps_at_least_one_picture_at_any_rate() -> None:
    assert label_counts([10, 1, 0], names(3), rate=1e-12) == [1, 1, 0]


def test_a_rate_takes_the_first_ranks_of_each_class() -> None:
    """So that a rate and the equal number of labels choose the same, and lower rates are among higher
    ones."""
    labels = torch.arange(80) % 4
    split, lower = (choose_split(labels, 4, rate=rate, seed=3, classes=names(4)) for rate in (0.3, 0.15))
    assert split == choose_split(labels, 4, per_class=6, seed=3, classes=names(4))
    assert set(lower.labeled) < set(split.labeled) and len(lower.labeled) == 4 * 3


def test_validation_is_held_out_and_the_rest_is_unlabeled() -> None:
    labels = torch.tensor([0] * 40 + [1] * 20)
    split = choose_split(labels, 2, rate=0.5, validation=0.2, seed=0, classes=names(2))
    assert np.bincount(labels[list(split.validation)]).tolist() == [4, 2]
    assert np.bincount(labels[list(split.labeled)]).tolist() == [16, 8]
    assert sorted((*split.labeled, *split.validation, *split.unlabeled)) == list(range(60))


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.0001, float("nan")])
def test_rates_that_are_out_of_range(rate: float) -> None:
    with pytest.raises(UserError, match=r"the label rate must lie in \(0, 1\], got"):
        choose_split(torch.arange(8) % 2, 2, rate=rate, seed=0, classes=names(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": 100, "label_rate": 0.15}, "labels in all or the label rate, not both: got 100 and 0.15"),
        ({"labels_per_class": 4, "label_rate": 0.15}, "labels per class or the label rate, not both"),
    ],
)
def test_a_rate_and_a_number(options: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataOptions(data="digits", **options).choose_split(load_digits_data(), 0)  # type: ignore[arg-type]


def test_the_option() -> None:
    data = load_digits_data()
    split = DataOptions(data="digits", label_rate=0.1).choose_split(data, 0)
    sizes = np.bincount(data.train.labels)
    assert np.bincount(data.train.labels[list(split.labeled)]).tolist() == np.ceil(sizes / 10).tolist()
