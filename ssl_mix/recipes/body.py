"""The last rung: the body of a network trained from the head that was chosen (LP-FT, Kumar et al., 2022),
where time is left, and only kept where held-out labels say that it gains."""

import dataclasses
import functools
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ssl_mix.datasets import Split
from ssl_mix.engine.meter import DivergedError
from ssl_mix.engine.trainer import Trainer
from ssl_mix.errors import counts_of, verb_for
from ssl_mix.recipes.build import build_run
from ssl_mix.recipes.ladder import Rung, head_on, rightly, run_of
from ssl_mix.recipes.weights import BATCH, STEPS
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.features import Features
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import on_images
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import Session, start

FEWEST_STEPS, FEWEST_FOLDS = 50, 2
ERRORS = 2.0  # standard errors that a gain must exceed
SLOWER = 0.1  # of the rate of a head
TIMED = 2  # steps
SURE = 0.9  # of the time that is left: the rest is for what is not measured
Tell = Callable[[str], None]


class Plan(NamedTuple):
    """What there is time for: folds to try, steps on each and on all labels, and how long it takes."""

    folds: int
    steps: int
    seconds: float


class Body(NamedTuple):
    """What cross-validation found of training the body.

    Attributes:
        run: that trains it, on all labels too.
        head: the rung that it begins with.
        accuracy: share of the held-out labels that were predicted.
        gain: its difference to that of the head alone, on the same labels.
        error: standard error of the gain, paired by images.
        folds: that were tried.
        seconds: that they took.
    """

    run: Run
    head: Rung
    accuracy: float
    gain: float
    error: float
    folds: int
    seconds: float

    @property
    def name(self) -> str:
        """For people."""
        mixing: Any = self.run.algorithm.hyperparameters()["mixing"]
        return "body" if mixing.mix == "none" else f"body + {mixing.mix.upper()}"

    @property
    def kept(self) -> bool:
        """Whether the gain is real."""
        return self.gain > ERRORS * self.error

    @property
    def reason(self) -> str:
        """Why it is kept, or not; a sentence."""
        does = "loses" if self.gain < 0 else "gains"
        left = (
            "it is left as it is" if self.gain < 0 else f"less than {ERRORS:g} of them, it is left as it is"
        )
        return (
            f"the body trained from {self.head.name} {does} {100 * abs(self.gain):.1f} points over "
            f"{self.folds} folds with a standard error of {100 * self.error:.1f}: "
            f"{'it is kept' if self.kept else left}"
        )


def climb_body(
    head: Rung,
    options: Mapping[str, Any],
    features: Features,
    splits: Sequence[Split],
    ends: float,
    tell: Tell,
    progress: Progress | None = None,
) -> Body | None:
    """Train the body from a head on as many folds as there is time for, and predict the held-out labels.

    Args:
        head: the rung that was chosen.
        options: of the user.
        features: of all images.
        splits: from ``folds``, two at least.
        ends: when the time is over, by ``time.perf_counter()``.
        tell: told what is tried, or why nothing is.
        progress: told how many steps of a fold are taken.

    Returns:
        What was found; None where the time is not enough, or the loss became infinite.
    """
    began = time.perf_counter()
    if began > ends:
        tell("the body is left as it is: none of the `minutes` are left")
        return None
    most, mixes = min(options["steps"], STEPS), bool({*splits[0].unlabeled} - {*splits[0].validation})
    step, beside = costs(body_run(options, mixes, most), run_of(head, options), features, splits[0])
    left = SURE * (ends - time.perf_counter())
    found = plan(step, beside, left, len(splits), most)
    cost = f"a step of it takes {step:.2g} s"
    if left < found.seconds:
        tell(
            f"the body is left as it is: {cost}, so that {counts_of(found.steps, 'step')} on {found.folds} "
            f"folds and on all labels take {found.seconds:.0f} s, and {max(left, 0):.0f} s "
            f"{verb_for(round(max(left, 0)))} left of the `minutes`"
        )
        return None
    tell(
        f"the body is trained from {head.name}, {counts_of(found.steps, 'step')} on each of {found.folds} "
        f"folds: {cost}, all of it {found.seconds:.0f} of the {left:.0f} s that are left of the `minutes`"
    )

    def run() -> Run:  # each has an algorithm with a state of its own
        return body_run(options, mixes, found.steps)

    try:
        pairs = [
            compared(run(), run_of(head, options), features, split, shown(progress, fold, found.folds))
            for fold, split in enumerate(splits[: found.folds], 1)
        ]
    except DivergedError as error:
        tell(f"the body is left as it is: {error}")
        return None
    right, before = (torch.cat(answers) for answers in zip(*pairs, strict=True))
    gains = right - before
    deviation = gains.std().item() / math.sqrt(len(gains))
    seconds = time.perf_counter() - began
    return Body(run(), head, right.mean().item(), gains.mean().item(), deviation, found.folds, seconds)


def plan(step: float, beside: float, left: float, splits: int, most: int) -> Plan:
    """As many folds as fit into the time that is left; where two are too many, fewer steps; where those do
    not fit either, what would be the least.

    Args:
        step: seconds of one.
        beside: seconds of what else each training takes.
        left: seconds.
        splits: that there are.
        most: steps of a training.
    """

    def of(folds: int, steps: int) -> Plan:
        return Plan(folds, steps, (folds + 1) * (steps * step + beside))

    for folds in range(splits, FEWEST_FOLDS - 1, -1):
        if of(folds, most).seconds <= left:
            return of(folds, most)
    fitting = int((left / (FEWEST_FOLDS + 1) - beside) / step)
    return of(FEWEST_FOLDS, max(fitting, min(FEWEST_STEPS, most)))


def body_run(options: Mapping[str, Any], mixes: bool, steps: int) -> Run:
    """The run that trains the body: a tenth of a head's rate, batch norm as it is, AS where there are
    unlabeled images to mix with."""
    every = {"log_every": max(1, steps // 10), "eval_every": steps, "checkpoint_every": max(1, steps // 4)}
    chosen = {
        "batch_size": BATCH,
        "schedule": "half-cosine",
        "ema_decay": 0.99,
        "weight_decay": 1e-3,
        **{name: value for name, value in options.items() if name != "feature_views"},  # of heads
        **every,
        "steps": steps,
        "lr": SLOWER * options["lr"],
        "head_lr_factor": 1.0,
        "head_start": "random",
        "tune": "all",
        "tta": False,  # the network that begins has its looks
        "view": "weak",
        "mix": "as" if mixes else "none",
    }
    run = build_run("fine-tuning", chosen).run
    norms = run.net.norms or "frozen"  # of random weights too: the head knows what they give as they are
    return dataclasses.replace(run, net=dataclasses.replace(run.net, norms=norms))


def trainer_of(run: Run, features: Features, split: Split, head: Trainer) -> Trainer:
    """A trainer of the body with the head that another has trained."""
    data = dataclasses.replace(features.images, test=None)
    apart = dataclasses.replace(split, validation=())
    return run.trainer(data, apart, net=on_images(features, head.teacher.net))


def costs(run: Run, head: Run, features: Features, split: Split) -> tuple[float, float]:
    """Seconds of a step, measured, and of what else a training takes."""
    began = time.perf_counter()
    trainer = trainer_of(run, features, split, head_on(head, features, split))
    beside = time.perf_counter() - began
    for number, raw in enumerate(itertools.islice(trainer.feed.batches(0), 1 + TIMED)):
        trainer.train_step(raw)
        trainer.check_finite()  # waits for the device
        if number == 0:
            began = time.perf_counter()
    return (time.perf_counter() - began) / TIMED, beside


def shown(progress: Progress | None, fold: int, folds: int) -> Callable[[int, int], None]:
    """A function that is told the steps taken of a fold, and those in all."""
    if progress is None:
        return lambda done, total: None
    return functools.partial(progress, f"training the body, fold {fold} of {folds}, step")


def compared(
    run: Run, head: Run, features: Features, split: Split, show: Callable[[int, int], None]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Which held-out labels the trained body predicts, and which the head that it began with; (n,) each."""
    first = head_on(head, features, split)
    trainer = trainer_of(run, features, split, first)
    for number, raw in enumerate(itertools.islice(trainer.feed.batches(0), run.config.steps)):
        show(number, run.config.steps)
        trainer.train_step(raw)
    show(run.config.steps, run.config.steps)
    trainer.check_finite()
    return rightly(trainer, split.validation), rightly(first, split.validation)


def start_body(
    body: Body,
    options: Mapping[str, Any],
    folder: Path,
    given: Given,
    features: Features,
    split: Split,
) -> Session:
    """The session that trains the body on all labels, from the head of all labels; it takes the place of that
    of the head alone."""
    net = on_images(features, head_on(run_of(body.head, options), features, split).teacher.net)
    return start(body.run, folder, given=given, features=features, net=net, overwrite=True)
