"""Several runs side by side: grouped by what differs in their settings, with means over seeds and paired
differences."""

import json
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ssl_mix.errors import UserError, counts_of
from ssl_mix.evaluation import Difference, paired_difference
from ssl_mix.reports.auto_ladder import AUTO, is_auto
from ssl_mix.reports.settings import defaults, flag, flat_settings, words
from ssl_mix.reports.summary import Summary, summarize
from ssl_mix.reports.told import check_describes
from ssl_mix.runs.folder import Record, read_config, read_metrics, runs_below

SEEDS = (("train", "seed"), ("data", "split_seed"))
MACHINE = (
    ("train", "device"),
    ("train", "threads"),
    ("data", "data_dir"),
    ("data", "memory_gb"),
    ("data", "download"),
    ("data", "cache_images"),
    ("data", "workers"),
)
RECORDS = tuple(
    ("train", name) for name in ("log_every", "eval_every", "test_scored", "checkpoint_every")
)  # what is written down, and when
HEADS = (("net", "tune"), ("net", "head_start"), ("net", "feature_views"), ("net", "norms"))
Settings = Mapping[tuple[str, str], Any]


@dataclass(frozen=True)
class Compared:
    """One run.

    Attributes:
        folder: of the run.
        config: ``config.json``.
        records: of its metrics.
    """

    folder: Path
    config: Mapping[str, Any]
    records: Sequence[Record]

    @cached_property
    def summary(self) -> Summary:
        """Its result."""
        return summarize(list(self.records))

    @cached_property
    def settings(self) -> dict[tuple[str, str], Any]:
        """All but seeds, what belongs to the machine and what is written down; of ``ssl-mix auto`` the data
        and the network alone, for the rest is its choice, which seeds may turn."""
        told = {
            name: value
            for name, value in flat_settings(self.config).items()
            if name not in (*SEEDS, *MACHINE, *RECORDS)
        }
        if self.algorithm != AUTO:
            return told
        return {n: value for n, value in told.items() if n[0] in ("data", "net") and n not in HEADS}

    @cached_property
    def algorithm(self) -> str:
        """Its name, or "auto"."""
        return AUTO if is_auto(self.folder) else str(self.config["algorithm"].get("name"))

    @property
    def seed(self) -> tuple[int, int]:
        """That of the run and that of the choice of labels, by which runs are paired."""
        seed, split = self.config["train"]["seed"], self.config["data"].get("split_seed")
        return seed, seed if split is None else split

    @property
    def tested_on(self) -> str:
        """What makes accuracies comparable: data set, classes and the number of test images."""
        data = self.config["dataset"]
        return json.dumps([data.get("name"), data.get("classes"), data.get("test_images")])

    @property
    def finished(self) -> bool:
        """Whether its last step is recorded."""
        return bool(self.records) and self.records[-1]["step"] == self.config["train"]["steps"]


@dataclass(frozen=True)
class Group:
    """Finished runs that differ in nothing but their seeds, and what they are called."""

    name: str
    runs: Sequence[Compared]

    def values(self, measure: Callable[[Compared], float | None]) -> list[float]:
        """A measure of each run, where it is known."""
        found = map(measure, self.runs)
        return [value for value in found if value is not None]


@dataclass(frozen=True)
class Comparison:
    """Groups of runs.

    Attributes:
        groups: in the order in which their first runs were given.
        notes: what the reader must be told.
    """

    groups: Sequence[Group]
    notes: Sequence[str]

    @property
    def runs(self) -> list[Compared]:
        """All that are counted."""
        return [run for group in self.groups for run in group.runs]

    def difference(self, group: Group, other: Group) -> Difference | None:
        """Test accuracy of a group less that of another, over the seeds that both have; None where there are
        no pairs, or other test images."""
        pairs = list(_pairs(group, other))
        if not pairs:
            return None
        first, second = ([run.summary.last for run in side] for side in zip(*pairs, strict=True))
        return paired_difference(*([v for v in side if v is not None] for side in (first, second)))


def compare(folders: Iterable[Path], *, unfinished: bool = False) -> Comparison:
    """The runs in ``folders``; one that holds runs, a benchmark's or a demo's for instance, stands for them.

    Args:
        folders: of runs.
        unfinished: whether none of them need be finished; there are no groups then.

    Raises:
        ValueError: one is no run, or none is finished.
    """
    runs = [_read(folder) for folder in run_folders(folders)]
    notes = [f"{run.folder} is not finished and is left out of the means" for run in runs if not run.finished]
    finished = [run for run in runs if run.finished]
    if not finished and not unfinished:
        raise UserError("none of these runs is finished: there is nothing to compare yet")
    groups = _grouped(finished)
    return Comparison(groups, [*notes, *_pair_notes(groups)])


def run_folders(folders: Iterable[Path]) -> list[Path]:
    """Folders of runs, each once.

    Raises:
        ValueError: one is no run and holds none.
    """
    found: dict[Path, Path] = {}
    for folder in folders:
        for place in list(runs_below(folder)) or [folder]:
            found.setdefault(place.resolve(), place)
    return list(found.values())


def _read(folder: Path) -> Compared:
    config = read_config(folder)
    check_describes(config, folder)
    return Compared(folder, config, read_metrics(folder))


def _grouped(runs: Sequence[Compared]) -> list[Group]:
    shown = _differing(runs)
    groups: dict[str, list[Compared]] = {}
    for run in runs:
        key = json.dumps([run.algorithm, run.tested_on, sorted((*k, v) for k, v in run.settings.items())])
        groups.setdefault(key, []).append(run)
    return [Group(_name(members[0], shown), members) for members in groups.values()]


def _differing(runs: Sequence[Compared]) -> set[tuple[str, tuple[str, str]]]:
    """(algorithm, setting) that tell groups apart: of data, network and training what is not the same in all
    runs; of an algorithm what is not the same in all of its runs, or is no default and not so everywhere."""
    found = set()
    for run in runs:
        usual = defaults(run.algorithm)
        for name, value in run.settings.items():
            others = [other for other in runs if name in other.settings]
            differs = any(other.settings[name] != value for other in others)
            own = name[0] != "algorithm" or any(
                other.settings[name] != value for other in others if other.algorithm == run.algorithm
            )
            if differs and (own or value != usual.get(name)):
                found.add((run.algorithm, name))
    return found


def _name(run: Compared, shown: set[tuple[str, tuple[str, str]]]) -> str:
    told = [
        f"{flag(name[1])} {words(value)}"
        for name, value in run.settings.items()
        if (run.algorithm, name) in shown
    ]
    return " ".join([run.algorithm, *told])


def _pairs(group: Group, other: Group) -> Iterable[tuple[Compared, Compared]]:
    """Runs of the same seeds, where each group has one that was tested on the same images."""
    by_seed = {run.seed: run for run in other.runs if run.summary.last is not None}
    for run in group.runs:
        partner = by_seed.get(run.seed)
        if partner is not None and run.summary.last is not None and run.tested_on == partner.tested_on:
            yield run, partner


def _pair_notes(groups: Sequence[Group]) -> Iterable[str]:
    for group in groups:
        seeds = [run.seed for run in group.runs]
        if len(set(seeds)) < len(seeds):
            yield f"{group.name}: some of its runs have the same seed, of which pairs take the last"
    for group in groups[1:]:
        pairs = list(_pairs(group, groups[0]))
        apart = [a for a, b in pairs if _labeled(a) != _labeled(b)]
        if apart:
            yield (
                f"{group.name}: {len(apart)} of {counts_of(len(pairs), 'pair')} learned from other labeled "
                "images"
            )


def _labeled(run: Compared) -> Any:
    return run.config["dataset"].get("split_sha256")


def mean_and_deviation(values: Sequence[float], form: str = ".1f") -> str:
    """ "82.4 +- 0.5", with the sample deviation where there are several values; "-" where there are none."""
    if not values:
        return "-"
    deviation = f" +- {statistics.stdev(values):{form.lstrip('+')}}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):{form}}{deviation}"
