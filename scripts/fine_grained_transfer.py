"""The transfer benchmark: methods x label rates x seeds x mixing terms on fine-grained images, each with the
same of everything else.

    python scripts/fine_grained_transfer.py --data cub200 stanford-cars fgvc-aircraft --rates 15 30 50 \
        --methods fine-tuning co-tuning self-tuning --mix none mixup dm as dm-as \
        --out runs/transfer --json transfer.jsonl -- --recipe recommended --data-dir data

Published tables compare methods that were trained with different augmentation, schedules and numbers of
steps. Here all runs of a table have the same of these, the same images and the same split, or are refused:
what follows ``--`` goes to ``ssl-mix train`` as it is, for every run, and ``--view`` to each method that has
views to choose from. ``--only 'NAMES: FLAGS'`` adds flags for some methods, data sets or rates ("cub200-15");
``--only 'cub200-15: --label-list FILE'`` takes a published list of labeled images in place of a share.

Several ``--seeds`` share one split (``--split-seed``), as in the published tables; with ``--vary-split`` each
has its own. Methods that take no mixing terms run with "none" alone. Two controls more than ``ssl-mix train
--mix`` knows leave out the decoupled term alone (``--eta 0``): "mce" is "as" without it, labeled images mixed
into unlabeled ones with plain mixup cross-entropy; "mixup-mce" is "dm-as" without it.

Each run is a folder OUT/DATA-RATE/METHOD-MIX/splitS-seedK: a finished one is skipped, a cut one resumed to
the bit, one with other settings refused. Every finished run becomes one line of JSON (errors in per cent),
with ten crops scored too where images are stored larger than the network sees them. The tables are made of
these lines: accuracy by method and rate, ours beside published numbers with their metric, and what mixing
adds on the same seeds.

GPU hours: not run.
"""

import argparse
import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import benchmark_runs
from benchmark_runs import (
    Line,
    Planned,
    carry_out,
    cell,
    check_alike,
    error,
    has_option,
    header,
    left_in_files,
    line_of,
    parse,
    parser_of,
    percent,
    plan_run,
    row,
    run_script,
    words_of,
)
from published_transfer import published_transfer

from ssl_mix.algorithms import ALGORITHMS, TRANSFER
from ssl_mix.datasets import DataSet
from ssl_mix.errors import UserError, check_choice
from ssl_mix.reports.summary import summarize
from ssl_mix.runs.answered import evaluate
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.folder import read_metrics
from ssl_mix.runs.trained import load_trained

WITHOUT_DECOUPLING = {"mce": "as", "mixup-mce": "dm-as"}
CONTROLS: dict[str, tuple[str, ...]] = {
    "none": (),
    "mixup": ("none",),
    "dm": ("none", "mixup"),
    "mce": ("none",),
    "as": ("none", "mixup", "mce"),
    "mixup-mce": ("none", "mixup"),
    "dm-as": ("none", "mixup", "dm", "as", "mixup-mce"),
}
METRICS = {
    "error_last": "last step, center crop",
    "error_ten_crops": "last step, ten crops",
    "error_at_best_validation": "step best on the held-out part, center crop",
    "error_mean_of_classes": "last step, center crop, mean of classes",
}
ORDER = tuple(dict.fromkeys((*TRANSFER, *ALGORITHMS)))
OWN = (*benchmark_runs.OWN, "--label-rate", "--view")
ALIKE = (
    "dataset.fingerprint",
    "dataset.split_sha256",
    "dataset.augmentation",
    "net.net",
    "net.pretrained",
    "train.steps",
    "train.batch_size",
    "train.schedule",
    "train.milestones",
    "train.warmup_steps",
)

Kinds = Sequence[tuple[str, str]]


class Job(NamedTuple):
    """One run; the rate of labels is in per cent."""

    data: str
    rate: float
    method: str
    mix: str
    split_seed: int
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        """What --only may call it."""
        return self.data, f"{self.data}-{self.rate:g}", self.method


def jobs(options: argparse.Namespace) -> list[Job]:
    """All runs that were asked for and make sense."""
    return [
        Job(data, rate, method, mix, seed if options.vary_split else options.split_seed, seed)
        for seed in options.seeds
        for data in options.data
        for rate in options.rates
        for method in options.methods
        for mix in options.mix
        if makes_sense(method, mix)
    ]


def makes_sense(method: str, mix: str) -> bool:
    """As for any algorithm; without the decoupled term nothing is left to add to those that mix by
    themselves."""
    if mix in WITHOUT_DECOUPLING:
        return makes_sense(method, WITHOUT_DECOUPLING[mix]) and makes_sense(method, "mixup")
    return benchmark_runs.makes_sense(method, mix)


def plan(options: argparse.Namespace) -> list[Planned]:
    """Every run with what it must be, from its flags, its images and its split.

    Raises:
        ValueError: a flag, a rate or the data are wrong, or runs that are compared differ in more than the
            method.
        SystemExit: a flag is unknown.
    """
    read: dict[DataOptions, DataSet] = {}
    planned = []
    for job in jobs(options):
        name = f"{job.data}-{job.rate:g}/{job.method}-{job.mix}/split{job.split_seed}-seed{job.seed}"
        planned.append(plan_run(job, options.out / name, job.method, words(options, job), read))
    check_alike(planned, lambda job: (job.data, job.rate, job.split_seed), ALIKE)
    return planned


def words(options: argparse.Namespace, job: Job) -> list[str]:
    """The flags of a run."""
    mine: dict[str, object] = {"--data": job.data, "--label-rate": job.rate / 100}
    mine |= {"--split-seed": job.split_seed, "--seed": job.seed}
    if has_option(job.method, "mixing"):
        mine["--mix"] = WITHOUT_DECOUPLING.get(job.mix, job.mix)
    if has_option(job.method, "view"):
        mine["--view"] = options.view
    flags = words_of(options, job.names, mine)
    if any(flag.partition("=")[0] == "--label-list" for flag in flags):
        del mine["--label-rate"]
        flags = words_of(options, job.names, mine)
    return [*flags, *(("--eta", "0") if job.mix in WITHOUT_DECOUPLING else ())]


def result(planned: Planned) -> Line:
    """What came out of a finished run, in per cent: errors, and for the mean of classes an accuracy."""
    records = read_metrics(planned.folder)
    found = summarize(records)
    values = {
        "error_last": error(found.last),
        "error_ten_crops": error(ten_crop_accuracy(planned)),
        "error_at_best_validation": error(found.at_best_validation),
        "error_mean_of_classes": error(records[-1].get("test_mean_class_accuracy")),
        "coverage": percent(found.coverage),
        "precision": percent(found.precision),
    }
    return line_of(planned, records, values)


def ten_crop_accuracy(planned: Planned) -> float | None:
    """Of a finished run, as most published numbers are; None where the network sees the whole of each
    image."""
    trained = load_trained(planned.folder, planned.run.config.device)
    if trained.stored_size == trained.shape[1]:
        return None
    run = dataclasses.replace(trained.run, data=left_in_files(trained.run.data))
    return evaluate(dataclasses.replace(trained, run=run), crops="ten").accuracy


def table(lines: Sequence[Line], data: str) -> str:
    """Markdown for one data set: accuracy by each metric that there is, published numbers beside ours, and
    what mixing adds."""
    lines = [line for line in lines if line["data"] == data]
    kinds = sorted(
        {(line["method"], line["mix"]) for line in lines},
        key=lambda kind: (ORDER.index(kind[0]), list(CONTROLS).index(kind[1])),
    )
    rates = sorted({line["rate"] for line in lines})
    tables = [
        *(accuracies(lines, data, kinds, rates, metric) for metric in METRICS),
        published_beside(lines, data, kinds, rates),
        differences(lines, data, kinds, rates),
    ]
    return "\n\n".join("\n".join(text) for text in tables if text) + "\n"


def accuracies(
    lines: Sequence[Line], data: str, kinds: Kinds, rates: Sequence[float], metric: str
) -> list[str]:
    """Methods by rates; nothing if no line has the metric."""
    if all(accuracy(line, metric) is None for line in lines):
        return []
    text = [f"{data}: accuracy in %, {METRICS[metric]}, mean +- deviation (seeds)", ""]
    text += header("method", "mixing", *(f"{rate:g} %" for rate in rates))
    for kind in kinds:
        found = (chosen(lines, kind, rate) for rate in rates)
        text.append(row(*kind, *(cell(accuracy(line, metric) for line in some) for some in found)))
    return text


def published_beside(lines: Sequence[Line], data: str, kinds: Kinds, rates: Sequence[float]) -> list[str]:
    """A row for each published number of a method, mixing and rate that we ran; nothing if there is none."""
    rows = []
    for method, mix in kinds:
        for rate in rates:
            some = chosen(lines, (method, mix), rate)
            ours = [
                cell(accuracy(line, metric) for line in some) for metric in ("error_last", "error_ten_crops")
            ]
            for found in published_transfer(data, rate, method if mix == "none" else f"{method}+{mix}"):
                deviation = "" if found.deviation is None else f" +- {found.deviation:.2f}"
                theirs = f"{found.mean}{deviation}"
                rows.append(row(method, mix, f"{rate:g} %", *ours, theirs, found.source, found.metric))
    if not rows:
        return []
    title = f"{data}: accuracy in %, ours (last step) beside published numbers"
    crops = ("ours, center crop", "ours, ten crops")
    columns = ("method", "mixing", "labels", *crops, "published", "source", "metric")
    return [title, "", *header(*columns), *rows]


def differences(lines: Sequence[Line], data: str, kinds: Kinds, rates: Sequence[float]) -> list[str]:
    """What mixing adds to a method, against each control that was run with the same seeds and splits."""
    rows = []
    for method, mix in kinds:
        for control in CONTROLS[mix]:
            cells = [
                cell(
                    paired(chosen(lines, (method, mix), rate), chosen(lines, (method, control), rate)), "+.2f"
                )
                for rate in rates
            ]
            if any(cells):
                rows.append(row(method, mix, control, *cells))
    if not rows:
        return []
    title = (
        f"{data}: paired differences of accuracy in points, last step, same seeds and splits, "
        "mean +- deviation (pairs)"
    )
    return [title, "", *header("method", "mixing", "minus", *(f"{rate:g} %" for rate in rates)), *rows]


def paired(lines: Sequence[Line], controls: Sequence[Line]) -> list[float]:
    """Differences in accuracy between lines and controls of the same seed and split."""
    known = {(line["split_seed"], line["seed"]): accuracy(line, "error_last") for line in controls}
    pairs = ((accuracy(line, "error_last"), known.get((line["split_seed"], line["seed"]))) for line in lines)
    return [ours - theirs for ours, theirs in pairs if ours is not None and theirs is not None]


def chosen(lines: Sequence[Line], kind: tuple[str, str], rate: float) -> list[Line]:
    """The lines of a method, mixing and rate."""
    return [line for line in lines if (line["method"], line["mix"], line["rate"]) == (*kind, rate)]


def accuracy(line: Line, metric: str) -> float | None:
    """In per cent; None where the run does not have it."""
    value: float | None = line[metric]
    return None if value is None else 100 - value


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line.

    Raises:
        ValueError: a method or a name in --only is unknown, or a flag is the script's to set.
    """
    parser = parser_of(__doc__, "runs/transfer")
    parser.add_argument(
        "--data", nargs="+", required=True, help="cub200, stanford-cars, fgvc-aircraft, ..., or folder"
    )
    parser.add_argument("--rates", nargs="+", type=float, default=[15, 30, 50], help="labels, in per cent")
    parser.add_argument("--methods", nargs="+", default=list(TRANSFER), metavar="NAME")
    parser.add_argument(
        "--mix", nargs="+", default=list(benchmark_runs.MIXES), choices=tuple(CONTROLS), help="see above"
    )
    parser.add_argument(
        "--view", choices=("weak", "strong"), default="strong", help="of methods that can choose"
    )
    seeds = parser.add_mutually_exclusive_group()
    seeds.add_argument("--split-seed", type=int, default=0, help="the one split of a data set and rate")
    seeds.add_argument("--vary-split", action="store_true", help="a split for each seed")
    options = parse(parser, arguments, OWN)
    for name in options.methods:
        check_choice("method", name, ALGORITHMS)
    for rate in options.rates:
        if not 1 <= rate <= 100:
            raise UserError(f"rates are in per cent, from 1 to 100, got {rate:g}: 15 for 15 %")
    known = [
        *ALGORITHMS,
        *options.data,
        *(f"{data}-{rate:g}" for data in options.data for rate in options.rates),
    ]
    for names, _ in options.only:
        for name in names:
            check_choice("name in --only", name, known)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then print the tables."""
    run_script("fine_grained_transfer", run, arguments)


def run(arguments: Sequence[str]) -> None:
    """Train what is missing, add its lines, print the tables.

    Raises:
        ValueError: what was asked for is wrong, or some of the runs failed.
    """
    options = read_options(arguments)
    carry_out(
        options, plan(options), result, lambda lines: "\n".join(table(lines, data) for data in options.data)
    )


if __name__ == "__main__":
    main()
