r"""The semi-supervised benchmark: algorithms x numbers of labels x seeds x mixing terms, on the same splits,
with the same budget.

    python scripts/cifar_ssl.py --data cifar10 --algorithms fixmatch mixmatch --mix none mixup dm as dm-as \
        --labels 40 250 4000 --out runs/cifar_ssl --json cifar_ssl.jsonl -- --download --recipe paper
    python scripts/cifar_ssl.py --data folder --algorithms fixmatch --labels 40 --json mine.jsonl \
        -- --train IMAGES/train --test IMAGES/test --steps 2000

What follows ``--`` goes to ``ssl-mix train`` as it is, for every run; ``--only 'NAMES: FLAGS'`` adds flags
for some algorithms. Each run is a folder OUT/DATA-LABELS/ALGORITHM-MIX/seedK: a finished one is skipped, a
cut one resumed to the bit, one with other settings refused; combinations that mean nothing are left out.
Labeled images depend on the data, their number and the seed alone. Every finished run becomes one line of
JSON; the tables are made of these lines, beside published numbers with their metric. ``ssl-mix compare OUT``
lays all runs against one of them, with intervals, and writes LaTeX.

The tables of the papers: ``--recipe paper``, 2^20 steps of WRN-28-2 (WRN-28-8 for cifar100), for cifar10,
cifar100 (400, 2500, 10000 labels), svhn and stl10. GPU hours: not run. On two CPU cores: ``-- --net small-cnn
--steps 1600 --batch-size 32``.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmark_runs import (
    MIXES,
    Planned,
    carry_out,
    cell,
    check_alike,
    error,
    has_option,
    header,
    line_of,
    makes_sense,
    parse,
    parser_of,
    percent,
    plan_run,
    row,
    run_script,
    words_of,
)
from published import published

from ssl_mix.algorithms import ALGORITHMS, TRANSFER
from ssl_mix.datasets import DataSet
from ssl_mix.errors import UserError, check_choice
from ssl_mix.reports.summary import summarize
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.folder import read_metrics
from ssl_mix.runs.own_algorithm import register

SEMI_SUPERVISED = [name for name in ALGORITHMS if name not in TRANSFER]
LABELS = {
    "cifar10": (40, 250, 4000),
    "cifar100": (400, 2500, 10000),
    "svhn": (40, 250, 1000),
    "stl10": (40, 250, 1000),
}
METRICS = {
    "error_last": "error of the last evaluation",
    "error_median20": "median of the last 20 evaluations, or of all where there are fewer",
    "error_best": "best, picked on the test part",
}


class Job(NamedTuple):
    """One run."""

    algorithm: str
    mix: str
    labels: int
    seed: int


def jobs(options: argparse.Namespace) -> list[Job]:
    """All runs that were asked for and make sense."""
    return [
        Job(algorithm, mix, labels, seed)
        for seed in options.seeds
        for labels in options.labels
        for algorithm in options.algorithms
        for mix in options.mix
        if makes_sense(algorithm, mix)
    ]


def plan(options: argparse.Namespace) -> list[Planned]:
    """Every run with what it must be, from its flags, its images and its split.

    Raises:
        ValueError: a flag, a number of labels or the data are wrong.
        SystemExit: a flag is unknown.
    """
    read: dict[DataOptions, DataSet] = {}
    planned = []
    for job in jobs(options):
        mine: dict[str, object] = {
            "--data": options.data,
            "--labels": job.labels,
            "--split-seed": job.seed,
            "--seed": job.seed,
        }
        if has_option(job.algorithm, "mixing"):
            mine["--mix"] = job.mix
        folder = (
            options.out / f"{options.data}-{job.labels}" / f"{job.algorithm}-{job.mix}" / f"seed{job.seed}"
        )
        words = words_of(options, [job.algorithm], mine)
        planned.append(plan_run(job, folder, job.algorithm, words, read))
    same = ("dataset.fingerprint", "dataset.split_sha256")
    check_alike(planned, lambda job: (job.labels, job.seed), same)
    return planned


def result(planned: Planned) -> dict[str, Any]:
    """What came out of a finished run, in per cent."""
    records = read_metrics(planned.folder)
    found = summarize(records)
    errors = {name: error(getattr(found, name.removeprefix("error_"))) for name in METRICS}
    shares = {name: percent(getattr(found, name)) for name in ("coverage", "precision", "agreement")}
    return line_of(planned, records, errors | shares)


def table(lines: Sequence[dict[str, Any]], data: str) -> str:
    """Markdown: one table for each metric, and the published numbers below."""
    columns = sorted({line["labels"] for line in lines})
    kinds = sorted(
        {(line["algorithm"], line["mix"]) for line in lines},
        key=lambda kind: (list(ALGORITHMS).index(kind[0]), MIXES.index(kind[1])),
    )
    text = []
    for metric, words in METRICS.items():
        text += [f"{data}: {words}, error in %, mean +- deviation (seeds)", ""]
        text += header("algorithm", "mixing", *(f"{count} labels" for count in columns))
        for algorithm, mix in kinds:
            cells = [
                cell(
                    [
                        x[metric]
                        for x in lines
                        if (x["algorithm"], x["mix"], x["labels"]) == (algorithm, mix, count)
                    ]
                )
                for count in columns
            ]
            text.append(row(algorithm, mix, *cells))
        text.append("")
    text += paired_table(lines, data, kinds, columns)
    for algorithm, mix in kinds:
        for count in columns:
            for found in published(data, count, algorithm if mix == "none" else f"{algorithm}+{mix}"):
                deviation = "" if found.deviation is None else f" +- {found.deviation}"
                name = algorithm if mix == "none" else f"{algorithm} + {mix}"
                text.append(
                    f"- published, {name}, {count} labels: {found.mean}{deviation} ({found.source}; "
                    f"{found.metric}; {found.net})"
                )
    return "\n".join(text).rstrip() + "\n"


def paired_table(
    lines: Sequence[dict[str, Any]], data: str, kinds: Sequence[tuple[str, str]], columns: Sequence[int]
) -> list[str]:
    """Markdown: what mixing adds to the same algorithm without it, over the seeds that both have; nothing
    where no run has its control."""
    errors = {(x["algorithm"], x["mix"], x["labels"], x["seed"]): x["error_last"] for x in lines}
    seeds = sorted({line["seed"] for line in lines})
    rows = []
    for algorithm, mix in kinds:
        cells = []
        for count in columns:
            pairs = [[errors.get((algorithm, m, count, seed)) for m in ("none", mix)] for seed in seeds]
            found = [a - b for a, b in pairs if a is not None and b is not None]
            cells.append(cell(found, "+.2f"))
        if mix != "none" and any(cells):
            rows.append(row(algorithm, mix, *cells))
    if not rows:
        return []
    title = f"{data}: accuracy less that with `none`, last evaluation, in points, mean +- deviation (pairs)"
    return [title, "", *header("algorithm", "mixing", *(f"{count} labels" for count in columns)), *rows, ""]


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line.

    Raises:
        ValueError: an unknown algorithm, or labels for a data set that has no usual numbers.
    """
    parser = parser_of(__doc__, "runs/cifar_ssl")
    parser.add_argument(
        "--data", required=True, help="cifar10, cifar100, svhn, stl10, digits, or folder with -- --train DIR"
    )
    parser.add_argument(
        "--algorithms",
        nargs="+",
        default=SEMI_SUPERVISED,
        metavar="NAME",
        help="default: all, so name some; MODULE:CLASS is one of your own",
    )
    parser.add_argument(
        "--mix", nargs="+", default=["none", "dm-as"], choices=MIXES, help="default: none dm-as"
    )
    parser.add_argument("--labels", nargs="+", type=int, help="default: the usual numbers of the data set")
    options = parse(parser, arguments)
    options.labels = options.labels or LABELS.get(options.data)
    for name in (*options.algorithms, *(name for names, _ in options.only for name in names)):
        register(name)
        check_choice("algorithm", name, ALGORITHMS)
    if not options.labels:
        raise UserError(f"--data {options.data} has no usual numbers of labels: give --labels")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then print the table."""
    run_script("cifar_ssl", run, arguments)


def run(arguments: Sequence[str]) -> None:
    """Train what is missing, add its lines, print the table.

    Raises:
        ValueError: what was asked for is wrong, or some of the runs failed.
    """
    options = read_options(arguments)
    carry_out(options, plan(options), result, lambda lines: table(lines, options.data))


if __name__ == "__main__":
    main()
