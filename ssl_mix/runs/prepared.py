"""A run that is ready to start: its data are read, its trainer is made, nothing is written."""

import time
from contextlib import nullcontext
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import nn

from ssl_mix.datasets import DataSet, Split
from ssl_mix.datasets.added_labels import with_added_labels
from ssl_mix.datasets.copies import copy_notes
from ssl_mix.engine.execution import resolve_device
from ssl_mix.engine.feed import images_per_step
from ssl_mix.engine.precision import precision_note, settled
from ssl_mix.engine.trainer import Trainer
from ssl_mix.models.pretrained import loading_notes
from ssl_mix.ranks import first_goes_first
from ssl_mix.runs.data_options import Progress
from ssl_mix.runs.features import Features
from ssl_mix.runs.given import Given
from ssl_mix.runs.head import begin_head, learned_features, with_probe
from ssl_mix.runs.memory import check_before_reading, check_memory
from ssl_mix.runs.net_options import GIVEN
from ssl_mix.runs.places import check_test_is_apart
from ssl_mix.runs.run import Run
from ssl_mix.runs.sizes import check_one_size, size_notes
from ssl_mix.runs.starts import Start, start_head
from ssl_mix.runs.tune import check_installed, tuning_note
from ssl_mix.runs.votes import cast_votes
from ssl_mix.transfer.looks import looks_note


class Prepared(NamedTuple):
    """A run that is ready to start, of which nothing has been written.

    Attributes:
        run: what to do, settled.
        data: the images.
        split: which of them are labeled.
        features: of the images, where a head alone is trained on them.
        trainer: at step 0.
        first: what was found of where its head starts.
        notes: what the user must be told.
    """

    run: Run
    data: DataSet
    split: Split
    features: Features | None
    trainer: Trainer
    first: Start | None
    notes: tuple[str, ...]


def prepare(
    run: Run,
    given: Given = Given(),  # noqa: B008 (a tuple)
    features: Features | None = None,
    progress: Progress | None = None,
    net: nn.Module | None = None,
    split: Split | None = None,
) -> Prepared:
    """Read the data and make the trainer; refuses whatever cannot be trained.

    Args:
        run: what to do.
        given: data and network that take the place of those that the run names.
        features: of the images, where they are known already; a run that trains more than a head takes the
            images alone.
        progress: told how far reading the images is.
        net: to begin with, in place of the one that the options name or that was handed over, of the same
            kind.
        split: which images are labeled, in place of the choice that the options make.

    Raises:
        ValueError: anything the user can mend.
    """
    check_installed(run.net.tune)
    threads = run.config.threads or torch.get_num_threads()  # the number decides the last bits of sums
    if given.net is not None:  # whatever weights the options name, it has its own
        own = "none" if run.net.pretrained in (None, "none") else GIVEN
        run = replace(run, net=replace(run.net, net=None, pretrained=own))
    run = replace(run.settled(), config=replace(run.config, threads=threads))
    check_test_is_apart(run.data.folders)
    check_one_size(run)
    check_before_reading(run, given.net)
    data = read_data(run, given, progress) if features is None else features.images
    split = run.data.choose_split(data, run.config.seed) if split is None else split
    data = with_added_labels(data, split)
    began, computed = time.perf_counter(), 0.0
    if run.net.tune == "head" and features is None:
        features = learned_features(
            run, data, split, given.network(len(data.classes), run.config.seed), progress
        )
        computed = time.perf_counter() - began
    known, features = features, features if run.net.tune == "head" else None
    asked = run.config
    if features is None and net is None:  # else it was tried before, and is trained as it was then
        net = first_network(run, data, given)
        run = in_fastest_precision(run, net, data)
    trainer, first = begin(run, data, split, given, features, progress, net)
    trainer.seconds = computed
    if known is not None and features is None:
        first = with_probe(first, known, split)
    weights = trainer.student if features is None else features.body
    notes = (*data.notes, *copy_notes(data, split), *loading_notes(weights), *small_set_notes(run, split))
    notes += (*given_notes(run, given), *size_notes(run, data, given), *precision_note(asked, run.config))
    notes += () if features is None or not run.net.tta else (looks_note(features.looks),)
    notes += () if first is None else (first.note,)
    notes += () if run.net.tune in ("all", "head") else (tuning_note(trainer.student, run.net.tune),)
    return Prepared(run, data, split, features, trainer, first, notes)


def begin(
    run: Run,
    data: DataSet,
    split: Split,
    given: Given,
    features: Features | None = None,
    progress: Progress | None = None,
    net: nn.Module | None = None,
) -> tuple[Trainer, Start | None]:
    """The trainer of a run at step 0, its head where it starts, and what was found of that."""
    if features is not None:
        trainer, first = begin_head(run, features, split)
    else:
        trainer, first = _begin_whole(run, data, split, given, progress, net)
    cast_votes(trainer, data)
    return trainer, first


def _begin_whole(
    run: Run,
    data: DataSet,
    split: Split,
    given: Given,
    progress: Progress | None,
    net: nn.Module | None,
) -> tuple[Trainer, Start | None]:
    net = first_network(run, data, given) if net is None else net
    shape, device = data.augmentation.seen(data.train.images.shape), resolve_device(run.config.device)
    check_memory(run.algorithm, net, shape, run.config, device)  # before the network sees an image
    first = start_head(net, run.net, run.algorithm, data, split, run.config, progress)
    return run.trainer(data, split, net=net), first


def first_network(run: Run, data: DataSet, given: Given) -> nn.Module:
    """The network that a run begins with: a copy of the one that was handed over, or as its options say."""
    net = given.network(len(data.classes), run.config.seed)
    return run.first_network(data) if net is None else net


def in_fastest_precision(run: Run, net: nn.Module, data: DataSet) -> Run:
    """The run with the precision in which a CPU is faster, see :func:`ssl_mix.engine.precision.settled`."""
    shape, device = data.augmentation.seen(data.train.images.shape), resolve_device(run.config.device)
    check_memory(run.algorithm, net, shape, run.config, device)
    images = images_per_step(run.algorithm, run.config)
    return replace(run, config=settled(run.config, net, shape, device, images))


def small_set_notes(run: Run, split: Split) -> tuple[str, ...]:
    """A note where a batch is larger than the labeled set."""
    size, count = run.config.batch_size, len(split.labeled)
    if size <= count:
        return ()
    return (
        f"the batch ({size}) is larger than the labeled set ({count}): labeled images repeat within a batch",
    )


def given_notes(run: Run, given: Given) -> tuple[str, ...]:
    """What a network that was handed over is taken for."""
    if given.net is None:
        return ()
    if run.net.pretrained == GIVEN:
        return ("the weights of the network that was handed over count as trained (else: `pretrained=none`)",)
    return ("the network that was handed over counts as not trained (else: `pretrained=default`)",)


def read_data(run: Run, given: Given, progress: Progress | None = None) -> DataSet:
    """The images of a run: those that were handed over, or that its options name."""
    with first_goes_first() if run.data.download else nullcontext():
        return run.data.load(progress) if given.data is None else run.data.adjust(given.data)
