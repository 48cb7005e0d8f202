"""The drawing order: permutations without end, a pure function of the step."""

from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssl_mix.datasets import ShuffledIndex
from ssl_mix.errors import UserError
from ssl_mix.randomness import stream_generator


def order(length: int, batch_size: int, seed: int = 0, stream: str = "labeled") -> ShuffledIndex:
    return ShuffledIndex(range(length), batch_size, seed=seed, stream=stream)


@settings(max_examples=30, deadline=None)
@given(length=st.integers(1, 300), batch_size=st.integers(1, 700), start=st.integers(0, 200))
def test_every_permutation_holds_each_element_once(length: int, batch_size: int, start: int) -> None:
    steps = 2 * length // batch_size + 3
    row = torch.cat(list(islice(order(length, batch_size).from_step(start), steps)))
    assert row.dtype == torch.int64 and len(row) == steps * batch_size
    skipped = -start * batch_size % length
    window = row[skipped : skipped + (len(row) - skipped) // length * length]
    assert (window.view(-1, length).sort(dim=1).values == torch.arange(length)).all()


@pytest.mark.parametrize(("length", "batch_size"), [(40, 64), (5000, 448), (20000, 448), (3, 50000)])
def test_a_batch_does_not_depend_on_what_was_asked_before(length: int, batch_size: int) -> None:
    steps = [0, 1, 400, 36, 37, 399, 400, 1, 0, 500]
    shared = order(length, batch_size)
    for step in steps:
        assert torch.equal(shared.batch(step), order(length, batch_size).batch(step))


def test_the_order_does_not_depend_on_the_batch_size() -> None:
    small = torch.cat(list(islice(order(40, 50).from_step(0), 1000)))  # several chunks
    large = torch.cat(list(islice(order(40, 500).from_step(0), 100)))
    assert torch.equal(small, large)


def test_changing_a_batch_does_not_change_the_order() -> None:
    shared = order(40, 64)
    shared.batch(0).zero_()
    assert torch.equal(shared.batch(0), order(40, 64).batch(0))


def test_seeds_and_streams_differ() -> None:
    first = order(1000, 1000).batch(0)
    assert not torch.equal(first, order(1000, 1000, seed=1).batch(0))
    assert not torch.equal(first, order(1000, 1000, stream="unlabeled").batch(0))


def test_only_the_given_positions_are_drawn() -> None:
    found = ShuffledIndex(torch.tensor([7, 3, 9]), 6, seed=0, stream="a").batch(5)
    assert sorted(found.tolist()) == [3, 3, 7, 7, 9, 9]
    assert torch.equal(found, ShuffledIndex([7, 3, 9], 6, seed=0, stream="a").batch(5))


@pytest.mark.parametrize("length", [5, 16385])
def test_each_element_is_as_likely_at_each_place(length: int) -> None:
    draws = 1000
    rows = torch.stack([batch[:5] for batch in islice(order(length, length).from_step(0), draws)])
    groups = rows * 5 // length
    counts = torch.stack([torch.bincount(column, minlength=5) for column in groups.T]).double()
    chi_square = ((counts - draws / 5) ** 2 / (draws / 5)).sum(dim=1)
    assert chi_square.max() < 23.5  # 4 degrees of freedom: exceeded once in 10,000


def test_neighboring_permutations_are_independent() -> None:
    row = order(4, 80000).batch(0).view(-1, 4)
    pairs = row[:-1, 0] * 4 + row[1:, 0]
    counts = torch.bincount(pairs, minlength=16).double()
    expected = len(pairs) / 16
    assert ((counts - expected) ** 2 / expected).sum() < 44.3  # 15 degrees of freedom: once in 10,000


def test_global_random_state_is_untouched() -> None:
    before = torch.get_rng_state()
    order(40, 64).batch(3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("length", "batch_size"), [(40, 64), (50000, 448)])
def test_permutations_are_drawn_once_and_many_at_a_time(
    length: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[int] = []

    def spy(seed: int, stream: str, chunk: int) -> torch.Generator:
        drawn.append(chunk)
        return stream_generator(seed, stream, chunk)

    monkeypatch.setattr("ssl_mix.datasets.sampling.stream_generator", spy)
    shared = order(length, batch_size)
    for step in range(1000):
        shared.batch(step)
    assert drawn == list(range(len(drawn)))
    assert len(drawn) <= 1 + 1000 * batch_size / 2**13


@pytest.mark.parametrize(
    ("length", "batch_size", "name"),
    [(0, 1, "images to draw from"), (5, 0, "batch_size"), (5, -1, "batch_size")],
)
def test_mistakes(length: int, batch_size: int, name: str) -> None:
    with pytest.raises(UserError, match=f"{name} must be above 0"):
        order(length, batch_size)
