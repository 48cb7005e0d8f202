"""Ways to train a head on features, from the simplest up, and how good each is on labels that it has not
seen."""

import dataclasses
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ssl_mix.datasets import Split
from ssl_mix.datasets.splits import checksum, ranked
from ssl_mix.engine.execution import own_state
from ssl_mix.engine.trainer import Trainer
from ssl_mix.errors import counts_of
from ssl_mix.evaluation import predict_probabilities
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.features import Features
from ssl_mix.runs.head import begin_head
from ssl_mix.runs.run import Run

MOST_FOLDS = 5
ERRORS = 2.0  # standard errors that the probe must be ahead by
KEEP = {
    "steps": 1,
    "lr": 1e-12,
    "ema_decay": 0.0,
    "view": "weak",
}  # one step that changes nothing: an ordinary run all the same


class Rung(NamedTuple):
    """One way to train a head.

    Attributes:
        name: for people.
        algorithm: that trains it.
        options: of that algorithm and its training.
    """

    name: str
    algorithm: str
    options: Mapping[str, Any]


class Climbed(NamedTuple):
    """What cross-validation found of a rung.

    Attributes:
        rung: the rung.
        accuracy: share of the held-out labels that were predicted.
        gain: its difference to that of the probe.
        error: standard error of the gain, paired by images.
        seconds: that all its folds took.
    """

    rung: Rung
    accuracy: float
    gain: float
    error: float
    seconds: float


PROBE = Rung("probe", "fine-tuning", {"head_start": "probe", **KEEP})
WHITENED = Rung("whitened", "fine-tuning", {"head_start": "whitened", **KEEP})
RUNGS = (PROBE, WHITENED)


def run_of(rung: Rung, options: Mapping[str, Any]) -> Run:
    """The run of a rung, with the options of the user."""
    chosen = {**rung.options, **options, "tune": "head", "head_start": rung.options["head_start"]}
    return build_run(rung.algorithm, {**chosen, **(KEEP if "steps" in rung.options else {})}).run


def climb(
    rung: Rung, options: Mapping[str, Any], features: Features, splits: Sequence[Split], probe: Tensor | None
) -> tuple[Climbed, Tensor]:
    """Train a rung on each split and predict the labels that are held out.

    Args:
        rung: what to try.
        options: of the user.
        features: of all images.
        splits: from ``folds``.
        probe: what the probe got right, from its own call.

    Returns:
        What was found; and by held-out label, fold after fold, 1 where it was predicted.
    """
    began = time.perf_counter()
    trainers = (head_on(run_of(rung, options), features, split) for split in splits)
    right = torch.cat([rightly(head, part.validation) for head, part in zip(trainers, splits, strict=True)])
    gains = right - (right if probe is None else probe)
    error = gains.std().item() / math.sqrt(len(gains)) if len(gains) > 1 else 0.0
    seconds = time.perf_counter() - began
    return Climbed(rung, right.mean().item(), gains.mean().item(), error, seconds), right


def head_on(run: Run, features: Features, split: Split) -> Trainer:
    """A head that is trained on the labels of a split, without its held-out ones."""
    known = dataclasses.replace(features, data=dataclasses.replace(features.data, test=None))
    trainer, _ = begin_head(run, known, dataclasses.replace(split, validation=()))
    for _ in trainer.fit():
        pass
    return trainer


def rightly(trainer: Trainer, positions: Sequence[int]) -> Tensor:
    """Which of some images to learn from the teacher takes for what they are, (n,) float32."""
    asked, device, images = torch.tensor(positions), trainer.device, trainer.data.train.images
    with own_state(trainer.config, device, "evaluation"):
        answers = predict_probabilities(
            trainer.teacher.net, images, trainer.data.augmentation, device, indices=asked
        )
    return (answers.argmax(dim=1) == trainer.data.train.labels[asked]).float()


def folds(split: Split, labels: Tensor, seed: int) -> tuple[Split, ...]:
    """Splits that hold out each label once, as many of each class in each: up to five, and no more than any
    class has labels. The held-out images are among the unlabeled ones too, as those to be predicted in the
    end are. A class of one label keeps it in all splits; where most classes have one there are no splits.
    """
    members: dict[int, list[int]] = {}
    for position in split.labeled:
        members.setdefault(int(labels[position]), []).append(position)
    several = [positions for positions in members.values() if len(positions) > 1]
    if 2 * len(several) < len(members):
        return ()
    count = min(MOST_FOLDS, *map(len, several))
    order = [ranked(positions, f"{seed}/folds") for positions in several]

    def parts() -> Iterator[Split]:
        for fold in range(count):
            held_out = sorted(position for member in order for position in member[fold::count])
            labeled = sorted({*split.labeled} - {*held_out})
            unlabeled = sorted({*split.unlabeled, *held_out})
            yield Split(tuple(labeled), tuple(held_out), tuple(unlabeled), seed, checksum(labeled))

    return tuple(parts())


def doubt(climbed: Climbed, held_out: Tensor) -> str | None:
    """A sentence where held-out labels are hardly predicted better than by naming the most frequent class:
    within two standard errors of that; None otherwise, and where all are predicted.

    Args:
        climbed: what cross-validation found.
        held_out: the labels, int64 (n,).
    """
    count = len(held_out)
    guessed = held_out.bincount().max().item() / count
    luck = ERRORS * math.sqrt(guessed * (1 - guessed) / count)
    if climbed.accuracy > guessed + luck or climbed.accuracy == 1:
        return None
    return (
        f"{climbed.rung.name} predicts {climbed.accuracy:.1%} of {counts_of(count, 'held-out label')}, and "
        f"guesses {guessed:.1%}: labels are wrong (ssl-mix audit lists those to look at), or the weights do "
        "not know such images, or there are too few labels to tell"
    )


def choose(ladder: Sequence[Climbed]) -> Climbed:
    """The head among whitened features, unless the probe is ahead of it by two standard errors of their
    difference.

    Few labels tell little: that error is 5 points where 25 labels are held out in turn. So what was better
    wherever it was tried needs no proof, and what speaks against it needs a strong one.
    """
    probe, whitened = ladder
    return whitened if whitened.gain >= -ERRORS * whitened.error else probe
