"""Confirmation bias as numbers, against a loop over the classes."""

import math

import pytest
import torch

from ssl_mix.errors import UserError
from ssl_mix.evaluation import class_bias


def by_hand(counts: list[int], prior: list[int]) -> tuple[float, float, float]:
    shares = [count / sum(counts) for count in counts]
    expected = [number / sum(prior) for number in prior]
    pairs = list(zip(shares, expected, strict=True))
    divergence = sum(share * math.log(share / usual) for share, usual in pairs if share > 0)
    return max(q - p for q, p in pairs), max(q / p for q, p in pairs), divergence


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_random_counts_as_a_loop_has_them(classes: int) -> None:
    draw = torch.Generator().manual_seed(classes)
    counts = torch.randint(0, 50, (classes,), generator=draw)
    counts[0] += 1
    prior = torch.randint(1, 9, (classes,), generator=draw)
    found = class_bias(counts, prior)
    excess, ratio, divergence = by_hand(counts.tolist(), prior.tolist())
    assert found.excess == pytest.approx(excess, abs=1e-12)
    assert found.ratio == pytest.approx(ratio) and found.kl == pytest.approx(divergence, abs=1e-12)
    assert found.share - found.prior == pytest.approx(excess)
    assert counts[found.largest] / counts.sum() == pytest.approx(found.share)


def test_the_ends_of_the_range() -> None:
    none = class_bias(torch.tensor([4, 8]), torch.tensor([1, 2]))
    assert (none.excess, none.ratio, none.kl) == (0.0, 1.0, 0.0)
    all_in_one = class_bias(torch.tensor([0, 7, 0, 0]), torch.ones(4))
    assert (all_in_one.excess, all_in_one.ratio, all_in_one.largest) == (0.75, 4.0, 1)
    assert all_in_one.kl == pytest.approx(math.log(4))
    assert class_bias(torch.tensor([3]), torch.tensor([5])).excess == 0.0


def test_a_class_without_labels_counts_in_the_excess_alone() -> None:
    found = class_bias(torch.tensor([6, 2, 2]), torch.tensor([0, 1, 1]))
    assert (found.excess, found.largest, found.ratio, found.kl) == (0.6, 0, 1.0, 0.0)


@pytest.mark.parametrize(
    ("counts", "prior"), [([0, 0], [1, 1]), ([1, 1], [0, 0]), ([-1, 2], [1, 1]), ([1, 1], [1, 1, 1])]
)
def test_what_is_no_count_or_no_prior_is_refused(counts: list[int], prior: list[int]) -> None:
    with pytest.raises(UserError, match="counts"):
        class_bias(torch.tensor(counts), torch.tensor(prior))
