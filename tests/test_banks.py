"""The pseudo-label bank against a dictionary that is updated one guess at a time."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_mix.banks import LastClasses, PseudoLabelBank, class_type, last_positions
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
        slot, confidence = slots[index], float(1 - np.float32(np.float16(1 - np.float32(confidence))))
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
    assert bank.confidence.tolist() == pytest.approx([0, 0.6, 0.7], abs=2**-13)  # 11 bits of 0.4 and 0.3
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
    assert last_positions(torch.tensor(slots), torch.tensor(counted)).tolist() == expected


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


def test_last_classes_against_a_dictionary() -> None:
    draw, classes = np.random.default_rng(0), LastClasses(UNLABELED, CLASSES)
    known = dict.fromkeys(range(UNLABELED), -1)
    for _ in range(100):
        slots, labels = draw.integers(UNLABELED, size=20), draw.integers(CLASSES, size=20)
        counted = draw.random(20) < 0.3
        classes.update(*map(torch.from_numpy, (slots, labels, counted)))
        known |= {int(i): int(c) for i, c, k in zip(slots, labels, counted, strict=True) if k}
        assert classes.label.tolist() == list(known.values())
        assert classes.counts.tolist() == np.bincount([c + 1 for c in known.values()], minlength=5).tolist()


@pytest.mark.parametrize(("count", "kind"), [(32767, torch.int16), (32768, torch.int32)])
def test_the_type_of_class_numbers_holds_them_all(count: int, kind: torch.dtype) -> None:
    assert class_type(count) == kind and torch.iinfo(kind).max >= count - 1


def test_sixteen_bits_tell_confidences_near_one_apart() -> None:
    bank, sure = PseudoLabelBank(3, 2), torch.tensor([0.9999, 0.99995, 0.99999])
    bank.update(PseudoLabels(torch.arange(3), torch.zeros(3, dtype=torch.int64), sure, torch.ones(3)), 0)
    torch.testing.assert_close(1 - bank.confidence, 1 - sure, rtol=2**-10, atol=2**-23)
    assert sum(buffer.nbytes for buffer in bank.buffers()) == 17 * 3


def test_a_step_takes_memory_for_its_batch_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    bank, learned = PseudoLabelBank(10**6, 10), LastClasses(10**6, 10)
    taken: list[int] = []

    class Watched(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            found = function(*args, **(kwargs or {}))
            if isinstance(found, torch.Tensor):
                taken.append(found.numel())
            return found

    pseudo = guesses(np.random.default_rng(0), 50, 10**6)
    with Watched():
        bank.update(pseudo, 0)
        learned.update(pseudo.indices, pseudo.labels, pseudo.mask > 0)
    assert len(taken) > 20 and max(n for n in taken if n != 10**6) <= 50
    assert taken.count(10**6) <= 20  # the buffers, asked for or written to in place
