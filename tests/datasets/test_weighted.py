"""Drawing with shares of classes: exact shares, every image in turn, a pure function of the step."""

import itertools

import pytest
import torch

from ssl_mix.datasets import ShuffledIndex
from ssl_mix.datasets.weighted import WeightedIndex

LABELS = torch.tensor([0] * 40 + [1] * 7 + [2] * 1 + [4] * 12)


def drawn(weights: tuple[float, ...], size: int, steps: int) -> torch.Tensor:
    order = WeightedIndex(LABELS, weights, size, seed=3, stream="labeled")
    return torch.cat(list(itertools.islice(order.from_step(0), steps)))


def test_balanced_classes_come_equally_often_in_every_batch() -> None:
    for batch in drawn((), 16, 20).view(20, 16):
        assert LABELS[batch].bincount().tolist() == [4, 4, 4, 0, 4]


def test_images_of_a_class_come_all_before_any_comes_again() -> None:
    chosen = drawn((), 10, 200)
    for label in (0, 1, 4):
        members = torch.nonzero(LABELS.eq(label)).flatten()
        counts = chosen.bincount(minlength=len(LABELS))[members]
        assert counts.max() - counts.min() <= 1


def test_weights_give_the_shares_of_a_weighted_loss() -> None:
    weights = (1.0, 5.0, 10.0, 1.0, 0.5)
    found = LABELS[drawn(weights, 50, 100)].bincount(minlength=5) / 5000
    expected = torch.tensor(weights) * LABELS.bincount(minlength=5)
    assert found.tolist() == pytest.approx((expected / expected.sum()).tolist(), abs=2e-3)


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 3.0, 1.0, 0.3)])
@pytest.mark.parametrize("size", [1, 7, 64, 2500])
def test_a_batch_depends_on_its_step_alone(weights: tuple[float, ...], size: int) -> None:
    whole = drawn(weights, size, 6).view(6, size)
    again = WeightedIndex(LABELS, weights, size, seed=3, stream="labeled")
    assert [again.batch(step).equal(whole[step]) for step in (5, 0, 3)] == [True] * 3
    other = WeightedIndex(LABELS, weights, size, seed=4, stream="labeled")
    assert size == 1 or not other.batch(0).equal(whole[0])


def test_single_elements_are_those_of_the_batches() -> None:
    order = ShuffledIndex(range(5), 3, seed=0, stream="x")
    row = torch.cat([order.batch(step) for step in range(20)])
    assert order.elements(4, 41).equal(row[4:41]) and len(order.elements(7, 7)) == 0
