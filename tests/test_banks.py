"""The pseudo-label bank against a dictionary that is updated one guess at a time."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_mix.banks import PseudoLabelBank, last_positions
from ssl_mix.types import PseudoLabels

UNLABELED, CLASSES = 23, 4
NEVER = {"label": -1, "confidence": 0.0, "passed": False, "first_passed": -1, "last_passed": -1, "changes": 0}


def guesses(draw: np.random.Generator, count: Any, size: int = UNLABELED) -> PseudoLabels:
    """A batch in which images occur several times, with other guesses each time."""
    return PseudoLabels(
        torch.from_numpy(draw.integers(size, size=count)),
        torch.from_numpy(draw.integers(CLASSES, size=count)),
        torch.from_numpy(draw.random(count)).float(),
        torch.from_numpy(draw.integers(2, size=count)).float(),
    )


def simulate(slots: list[dict[str, Any]], pseudo: PseudoLabels, step: int) -> None:
    """The last guess of a batch counts; a first guess is no change."""
    last = {index: entry for index, *entry in zip(*(column.tolist() for column in pseudo), strict=True)}
    for index, (label, confidence, mask) in last.items():
        slot = slots[index]
        slot["changes"] += slot["label"] not in (-1, label)
        slot.update(label=label, confidence=confidence, passed=mask == 1)
        if mask == 1:
            slot["last_passed"] = step
            slot["first_passed"] = step if slot["first_passed"] == -1 else slot["first_passed"]


def assert_equal(bank: PseudoLabelBank, slots: list[dict[str, Any]]) -> None:
    for name in NEVER:
        assert getattr(bank, name).tolist() == [slot[name] for slot in slots], name


def train(steps: int = 200, seed: int = 0) -> tuple[PseudoLabelBank, list[dict[str, Any]]]:
    """Bank and simulation after random steps of random batch sizes, compared after each."""
    draw = np.random.default_rng(seed)
    bank, slots = PseudoLabelBank(UNLABELED, CLASSES), [dict(NEVER) for _ in range(UNLABELED)]
    for step in range(steps):
        pseudo = guesses(draw, draw.integers(1, 40))
        bank.update(pseudo, step)
        simulate(slots, pseudo, step)
        assert_equal(bank, slots)
    return bank, slots


@pytest.mark.parametrize("seed", range(3))
def test_two_hundred_random_steps(seed: int) -> None:
    bank, slots = train(seed=seed)
    passed = [slot for slot in slots if slot["passed"]]
    assert bank.coverage().item() == pytest.approx(len(passed) / UNLABELED)
    counts = [sum(slot["label"] == k for slot in passed) for k in range(CLASSES)]
    assert bank.class_counts().tolist() == counts


@pytest.mark.parametrize("seed", range(3))
def test_precision_counts_passed_guesses_of_known_class(seed: int) -> None:
    bank, slots = train(steps=30, seed=seed)
    truth = torch.from_numpy(np.random.default_rng(seed).integers(-1, CLASSES, size=UNLABELED))
    hits = [slot["label"] == true for slot, true in zip(slots, truth.tolist(), strict=True)
            if slot["passed"] and true >= 0]  # fmt: skip
    assert bank.precision(truth).item() == pytest.approx(sum(hits) / len(hits))


def test_the_last_of_several_guesses_in_one_batch_counts() -> None:
    bank = PseudoLabelBank(3, CLASSES)
    pseudo = PseudoLabels(
        torch.tensor([1, 1, 2, 1]),
        torch.tensor([3, 0, 1, 2]),
        torch.tensor([0.9, 0.8, 0.7, 0.6]),
        torch.tensor([1.0, 1.0, 1.0, 0.0]),
    )
    bank.update(pseudo, 5)
    assert bank.label.tolist() == [-1, 2, 1]
    assert bank.confidence.tolist() == torch.tensor([0, 0.6, 0.7]).tolist()
    assert bank.passed.tolist() == [False, False, True]
    assert bank.first_passed.tolist() == bank.last_passed.tolist() == [-1, -1, 5]
    assert bank.changes.tolist() == [0, 0, 0]


def test_many_duplicates_of_one_picture() -> None:
    """Scattering 5,000 entries to one slot keeps the last, whatever the order of the writes."""
    bank = PseudoLabelBank(2, 5000)
    labels = torch.arange(5000)
    pseudo = PseudoLabels(torch.ones_like(labels), labels, labels / 5000, torch.ones(5000))
    bank.update(pseudo, 0)
    assert bank.label.tolist() == [-1, 4999]


def test_an_empty_bank() -> None:
    bank = PseudoLabelBank(UNLABELED, CLASSES)
    assert_equal(bank, [NEVER] * UNLABELED)
    assert bank.coverage().item() == 0
    assert math.isnan(bank.precision(torch.zeros(UNLABELED, dtype=torch.int64)).item())
    assert bank.class_counts().tolist() == [0] * CLASSES


def test_precision_is_nan_where_no_true_class_is_known() -> None:
    bank, _ = train(steps=30)
    assert math.isnan(bank.precision(torch.full((UNLABELED,), -1)).item())


def test_state_goes_through_a_file(tmp_path: Path) -> None:
    bank, slots = train(steps=50)
    torch.save(bank.state_dict(), tmp_path / "bank.pt")
    loaded = PseudoLabelBank(UNLABELED, CLASSES)
    loaded.load_state_dict(torch.load(tmp_path / "bank.pt", weights_only=True))
    assert_equal(loaded, slots)
    assert all(getattr(loaded, name).dtype == getattr(bank, name).dtype for name in NEVER)
    pseudo = guesses(np.random.default_rng(9), 30)
    bank.update(pseudo, 50)
    loaded.update(pseudo, 50)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in bank.state_dict().items())


def test_guesses_stay_as_they_were_and_buffers_are_written_in_place() -> None:
    bank = PseudoLabelBank(UNLABELED, CLASSES)
    addresses = {name: buffer.data_ptr() for name, buffer in bank.named_buffers()}
    pseudo = guesses(np.random.default_rng(0), 30)
    copies = [column.clone() for column in pseudo]
    bank.update(pseudo, 0)
    assert all(map(torch.equal, pseudo, copies))
    assert {name: buffer.data_ptr() for name, buffer in bank.named_buffers()} == addresses
    assert not list(bank.parameters())


def test_values_on_the_device_are_never_looked_at() -> None:
    """Tensors of the meta device have no values: reading one raises."""
    bank = PseudoLabelBank(UNLABELED, CLASSES).to("meta")
    bank.update(PseudoLabels(*(c.to("meta") for c in guesses(np.random.default_rng(0), 30))), 0)
    results = [bank.coverage(), bank.class_counts(), bank.precision(torch.zeros(UNLABELED, device="meta"))]
    assert [result.shape for result in results] == [(), (CLASSES,), ()]


def test_last_positions_against_a_loop() -> None:
    draw = np.random.default_rng(0)
    slots, counted = draw.integers(8, size=30), draw.random(30) < 0.4
    expected = [
        max((k for k in range(30) if slots[k] == slots[i] and counted[k]), default=-1) for i in range(30)
    ]
    assert last_positions(torch.tensor(slots), 8, torch.tensor(counted)).tolist() == expected


def test_the_bank_tells_changes_and_agreement() -> None:
    bank = PseudoLabelBank(5, 3)

    def guess(indices: list[int], labels: list[int]) -> PseudoLabels:
        count = len(indices)
        return PseudoLabels(torch.tensor(indices), torch.tensor(labels), torch.ones(count), torch.ones(count))

    assert bank.update(guess([0, 1, 2], [0, 1, 2]), 0).item() == 0
    assert bank.update(guess([0, 1, 2, 3], [0, 2, 1, 0]), 1).item() == 0.5
    assert bank.agreement(torch.tensor([0, 2, 0, 0]), torch.tensor([0, 1, 2, 4])).item() == pytest.approx(
        2 / 3
    )


def test_a_guess_that_weighs_less_than_half_has_not_passed() -> None:
    bank = PseudoLabelBank(3, 2)
    weights = torch.tensor([0.2, 0.5, 0.9])
    bank.update(PseudoLabels(torch.arange(3), torch.tensor([0, 1, 1]), torch.ones(3), weights), 0)
    assert bank.passed.tolist() == [False, True, True]
