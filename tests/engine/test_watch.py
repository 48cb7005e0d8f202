"""A run that goes wrong in its beginning is told once; one that goes well, never."""

import copy
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from algorithm_scene import make
from torch import Tensor, nn

from ssl_mix import Batch, Nets, Step, StepOutput
from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import FineTuning, FixMatch, SelfTuning
from ssl_mix.engine.watch import Watch, remedies, watched
from ssl_mix.models import SmallCNN
from ssl_mix.models.freeze import keep_statistics

RUN = {"steps": 900, "log_every": 15, "eval_every": 900, "checkpoint_every": 900}
NORMS = "take `norms=frozen`"


def told(losses: Sequence[float], labeled: Sequence[float], steps: int) -> str:
    """What a watch says at the end of the first tenth of losses."""
    watch = Watch(steps)
    for number, (whole, part) in enumerate(zip(losses, labeled, strict=True)):
        watch.add({"loss": torch.tensor(whole), "loss/labeled": torch.tensor(part)}, number)
    return watch.look(max(10, steps // 10), lambda: 1.0, 100)


@pytest.mark.parametrize("steps", [20, 100, 330, 2000])
@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.5])
def test_a_loss_that_rises_is_told(steps: int, slope: float) -> None:
    """By the means of both halves, their standard errors and a tenth, as a loop over the numbers has them."""
    draw = np.random.default_rng(steps)
    count = max(10, steps // 10)
    found = []
    for noise in (0.01, 0.1, 0.5, 2.0):
        rows = 1 + slope * np.arange(count)[:, None] / count + noise * draw.standard_normal((count, 2))
        risen = True
        for column in rows.T:
            first, second = column[: count // 2], column[count // 2 :]
            error = (first.var() / len(first) + second.var() / len(second)) ** 0.5
            risen &= second.mean() - first.mean() > max(3 * error, 0.1 * abs(first.mean()))
        assert bool(told(rows[:, 0].tolist(), rows[:, 1].tolist(), steps)) == risen
        found.append(risen)
    assert any(found) == (slope > 0)


def test_a_whole_that_rises_while_the_labeled_term_falls_is_a_ramp() -> None:
    rising, falling = np.linspace(1, 3, 50).tolist(), np.linspace(3, 1, 50).tolist()
    assert "the loss rose from 1.4" in told(rising, rising, 500)
    assert told(rising, falling, 500) == told(falling, rising, 500) == ""


@pytest.mark.parametrize(
    ("start", "later", "images", "wrong"),
    [
        (1.0, 0.2, 100, True),
        (1.0, 0.75, 100, False),  # less than 30 points
        (1.0, 0.6, 5, False),  # two images
        (1.0, 0.4, 5, True),
        (0.1, 0.9, 100, False),
    ],
)
def test_labeled_images_that_are_forgotten_are_told(
    start: float, later: float, images: int, wrong: bool
) -> None:
    watch = Watch(1000)
    assert watch.look(0, lambda: start, images) == ""
    found = watch.look(20, lambda: later, images)
    expected = f"the accuracy on labeled images fell from {start:.1%} to {later:.1%} in 20 steps"
    assert found == (expected if wrong else "")
    again = watch.look(1000, lambda: 0.0, images)
    assert ("" if wrong or start < 0.3 else "to 0.0% in 1,000 steps") == again[-22:]


def test_the_accuracy_is_looked_at_ever_more_rarely_and_not_after_the_beginning() -> None:
    watch = Watch(10_000)
    asked: list[int] = []

    def accuracy() -> float:
        asked.append(step)
        return 0.5

    for step in range(0, 3000, 20):
        watch.look(step, accuracy, 100)
    assert asked == [0, 20, 40, 80, 160, 320, 640, 1000]


def test_short_runs_are_not_watched() -> None:
    watch = Watch(19)
    values = [watch.look(step, lambda: pytest.fail("looked"), 100) for step in (0, 10, 50)]
    assert values == [""] * 3


class Forgetting(FineTuning):
    """Learns the wrong classes from some step on."""

    def forward(self, nets: Nets, batch: Batch, step: Step) -> StepOutput:
        assert batch.labeled.target is not None
        wrong = batch.labeled._replace(target=(batch.labeled.target + 1) % 4)
        return super().forward(nets, batch if step.number < 40 else batch._replace(labeled=wrong), step)


def trained(algorithm: Algorithm, net: nn.Module, **config: Any) -> list[str]:
    """The warnings of a run."""
    trainer = make(algorithm, net=copy.deepcopy(net), **RUN, **config)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for record in trainer.fit():
            if record["step"] >= 135:
                break
    return [str(warning.message) for warning in caught]


@pytest.fixture(scope="module")
def learned() -> nn.Module:
    """A network that knows the labeled images."""
    torch.manual_seed(0)
    trainer = make(FineTuning(view="weak"), net=SmallCNN(4, channels=1), steps=60)
    *_, last = trainer.fit()
    assert last["test_accuracy"] > 0.9
    return trainer.student


def test_a_trainer_warns_once(learned: nn.Module) -> None:
    [message] = trained(Forgetting(view="weak"), learned, lr=0.05)
    assert message.startswith("the accuracy on labeled images fell from 100.0% to ")
    assert message.endswith(": lower `lr`, or take `norms=frozen` (with pre-trained weights)")


@pytest.mark.parametrize("algorithm", [FineTuning(view="weak"), FixMatch(mixing="dm-as")], ids=type)
def test_a_trainer_is_silent_where_all_is_well(learned: nn.Module, algorithm: Algorithm) -> None:
    assert trained(algorithm, learned, lr=0.01) == []
    assert trained(algorithm, SmallCNN(4, channels=1)) == []


def test_a_resumed_run_knows_what_it_has_seen_and_said(learned: nn.Module) -> None:
    whole, other, again = (make(Forgetting(view="weak"), net=copy.deepcopy(learned), **RUN) for _ in range(3))
    records: Iterator[dict[str, float]] = whole.fit()
    for _ in range(3):
        next(records)
    assert whole.step == 45
    other.load_state_dict(whole.state_dict())
    assert other.watch.accuracy == 1.0 and other.watch.next == whole.watch.next > 15
    torch.testing.assert_close(other.watch.sums, whole.watch.sums)
    going = other.fit()
    with pytest.warns(UserWarning, match="the accuracy on labeled images fell from 100.0%"):
        while not other.watch.over:
            next(going)
    again.load_state_dict(other.state_dict())
    assert again.watch.over and again.step < 90
    next(again.fit())  # another warning would be an error


def test_remedies_are_those_that_the_run_has() -> None:
    net = SmallCNN(4, channels=1)
    assert NORMS in remedies(FixMatch(), net)
    keep_statistics(net.modules())
    assert remedies(FixMatch(), net) == "lower `lr`"
    assert remedies(SelfTuning(), net) == "lower `lr`, or lower `contrast_weight`"
    assert remedies(SelfTuning(contrast_weight=0.0), net) == "lower `lr`"


def test_at_most_256_labeled_images_are_looked_at() -> None:
    assert watched(range(256)) == range(256)
    spread = watched(range(1000))
    assert len(spread) == 250 and max(spread) > 990


def test_nothing_is_watched_without_a_first_look() -> None:
    """A loop that calls ``train_step`` alone has no accuracy to compare with."""
    values: Tensor = torch.tensor(1.0)
    watch = Watch(200)
    for step in range(20):
        watch.add({"loss": values, "loss/labeled": values}, step)
    assert watch.look(20, lambda: 0.0, 100) == ""
