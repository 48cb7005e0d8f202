"""One class that swallows the others is told once; pseudo-labels that are as they should be, never."""

import copy
import warnings

import pytest
import torch

from ssl_mix.algorithms import FixMatch, PseudoLabel
from ssl_mix.banks import PseudoLabelBank
from ssl_mix.datasets import choose_split, load_digits_data
from ssl_mix.engine.class_watch import ClassWatch, class_remedies
from ssl_mix.engine.config import TrainConfig
from ssl_mix.engine.trainer import Trainer
from ssl_mix.models import SmallCNN

NAMES = [str(number) for number in range(10)]


def bank_of(counts: list[int], images: int) -> PseudoLabelBank:
    bank = PseudoLabelBank(images, len(counts))
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    bank.label[: len(labels)], bank.passed[: len(labels)] = labels, True
    return bank


def said(counts: list[int], step: int = 50, images: int = 200, prior: list[int] | None = None) -> str:
    weights = torch.tensor(prior or [1] * len(counts))
    return ClassWatch(100).look(step, bank_of(counts, images), weights, NAMES)


@pytest.mark.parametrize(
    ("counts", "wrong"),
    [
        ([10] * 10, False),
        ([50, *[6] * 9], False),  # 48 %: 38 points above a tenth
        ([60, *[6] * 9], True),  # 53 %
        ([89, 11], False),
        ([91, 9], True),
        ([100], False),
        ([19, 0], False),  # too few to judge
    ],
)
def test_forty_points_above_the_share_of_the_labels(counts: list[int], wrong: bool) -> None:
    assert bool(said(counts)) == wrong


def test_what_is_said_and_when() -> None:
    text = said([95, 5])
    assert "'0' has 95% of the 100 pseudo-labels" in text and "after 50 steps, and 50% of the labels" in text
    assert said([95, 5], step=33) == "" and said([95, 5], images=2000) == ""
    assert said([95, 5], prior=[9, 1]) == ""
    assert ClassWatch(99).look(50, bank_of([95, 5], 200), torch.ones(2), NAMES) == ""
    watch, bank = ClassWatch(100), bank_of([95, 5], 200)
    assert watch.look(50, bank, torch.ones(2), NAMES) and not watch.look(60, bank, torch.ones(2), NAMES)


def test_remedies_are_options_that_there_are() -> None:
    assert "balance_classes" in class_remedies(FixMatch()) and "threshold" in class_remedies(FixMatch())
    assert class_remedies(PseudoLabel()).endswith("give more labels")


def swallowed(trainer: Trainer) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in trainer.fit():
            trainer.bank.label[:], trainer.bank.passed[:] = 3, True  # as if all were threes
    return [str(one.message) for one in caught if "swallows" in str(one.message)]


def test_a_run_warns_once_also_over_a_pause() -> None:
    data = load_digits_data()
    split = choose_split(data.train.labels, 10, per_class=2, seed=0, classes=data.classes)
    config = TrainConfig(steps=100, batch_size=4, eval_every=5, log_every=5, threads=1)

    def trainer() -> Trainer:
        return Trainer(FixMatch(threshold=1.0), SmallCNN(10, channels=1), data, split, config)

    first = trainer()
    told = swallowed(first)
    assert len(told) == 1 and "'3' has" in told[0] and "balance_classes" in told[0]
    again, state = trainer(), copy.deepcopy(first.state_dict())
    again.load_state_dict(state | {"step": 80})
    assert swallowed(again) == []
