"""The semi-supervised benchmark: algorithms x numbers of labels x seeds x mixing terms, on the same splits, with the same budget.

    python scripts/cifar_ssl.py --data cifar10 --algorithms fixmatch mixmatch --mix none mixup dm as dm-as --labels 40 250 4000 \
        --out runs/cifar_ssl --json cifar_ssl.jsonl -- --download --recipe paper

What follows ``--`` goes to ``ssl-mix train`` as it is, for every run; ``--only 'NAMES: FLAGS'`` adds flags for some algorithms. Each
run is a folder OUT/DATA-LABELS/ALGORITHM-MIX/seedK: a finished one is skipped, a cut one resumed to the bit, one with other settings
refused; combinations that mean nothing are left out. Labelled pictures depend on the data, their number and the seed alone. Every finished run becomes one line of JSON;
the table is made of these lines, beside published numbers with their metric.

The tables of the papers: ``--recipe paper``, 2^20 steps of WRN-28-2 (WRN-28-8 for cifar100), for cifar10, cifar100 (400, 2500,
10000 labels), svhn and stl10. GPU hours: not run. On two CPU cores: ``-- --net small-cnn --steps 1600 --batch-size 32``.
"""

import argparse
import dataclasses
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from measuring import append_line, circumstances
from published import published

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.datasets import DataSet
from ssl_mix.engine.execution import resolve_device
from ssl_mix.engine.run_folder import read_config, read_metrics
from ssl_mix.errors import UserError, check_choice, check_count
from ssl_mix.runs import DataOptions, Run
from ssl_mix.summary import summarise
from ssl_mix.train_command import read_run
from ssl_mix.training import check_same, identity_of

LABELS = {
    "cifar10": (40, 250, 4000),
    "cifar100": (400, 2500, 10000),
    "svhn": (40, 250, 1000),
    "stl10": (40, 250, 1000),
}
MIXES = ("none", "mixup", "dm", "as", "dm-as")
OWN = ("--data", "--labels", "--labels-per-class", "--seed", "--split-seed", "--mix", "--out", "--overwrite")
METRICS = {
    "last": "error of the last evaluation",
    "median20": "median of the last 20",
    "best": "best, picked on the test part",
}


class Job(NamedTuple):
    """One run."""

    algorithm: str
    mix: str
    labels: int
    seed: int


class Planned(NamedTuple):
    """A run that was asked for, checked against its data.

    Attributes:
        job: which.
        folder: where it is kept.
        arguments: of ``ssl-mix train``.
        run: what they mean.
        identity: what decides its bits, but for the number of threads.
    """

    job: Job
    folder: Path
    arguments: list[str]
    run: Run
    identity: dict[str, Any]

    @property
    def state(self) -> str:
        """ "new", "cut" or "finished".

        Raises:
            ValueError: the folder holds another run.
        """
        if not (self.folder / "config.json").exists():
            return "new"
        config = read_config(self.folder)
        check_same(without_threads(identity_of(config)), self.identity, self.folder / "config.json")
        records = read_metrics(self.folder)
        return "finished" if records and records[-1]["step"] == self.run.config.steps else "cut"


def without_threads(identity: dict[str, Any]) -> dict[str, Any]:
    """The number of threads decides last bits alone, and a repetition on another machine may have another."""
    return {name: value for name, value in identity.items() if name != "train.threads"}


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


def makes_sense(algorithm: str, mix: str) -> bool:
    """Supervised training guesses nothing that "as" could mix; for algorithms that mix by themselves "mixup" is "none"."""
    if algorithm == "supervised":
        return mix in ("none", "mixup", "dm")
    return mix != "mixup" or algorithm not in ("mixmatch", "remixmatch")


def plan(options: argparse.Namespace) -> list[Planned]:
    """Every run with what it must be, from its flags, its pictures and its split.

    Raises:
        ValueError: a flag, a number of labels or the data are wrong.
        SystemExit: a flag is unknown.
    """
    read: dict[DataOptions, DataSet] = {}
    planned = []
    for job in jobs(options):
        own = [flag for names, flags in options.only if job.algorithm in names for flag in flags]
        mine = {"--data": options.data, "--labels": job.labels, "--split-seed": job.seed, "--seed": job.seed}
        mine |= {"--mix": job.mix, "--threads": max(1, (os.cpu_count() or 1) // options.jobs)}
        words = [str(word) for pair in mine.items() for word in pair]
        folder = (
            options.out / f"{options.data}-{job.labels}" / f"{job.algorithm}-{job.mix}" / f"seed{job.seed}"
        )
        arguments = [job.algorithm, *words, *options.flags, *own, "--out", str(folder)]
        run = read_run(arguments)
        run = dataclasses.replace(run, data=run.data.absolute())
        pictures = dataclasses.replace(run.data, labels=None, split_seed=None)
        data = read[pictures] = read.get(pictures) or run.data.load()
        described = run.describe(data, run.data.choose_split(data, job.seed))
        planned.append(Planned(job, folder, arguments, run, without_threads(identity_of(described))))
    splits: dict[tuple[int, int], str] = {}
    for each in planned:
        split = each.identity["dataset.fingerprint"] + each.identity["dataset.split_sha256"]
        if splits.setdefault((each.job.labels, each.job.seed), split) != split:
            raise UserError(
                f"{each.job} has other pictures or another split than the runs it is compared with"
            )
    return planned


def train(planned: Planned) -> None:
    """Run or resume to the end, with the output in a file beside the folder.

    Raises:
        ValueError: it failed.
    """
    how, folder = planned.state, planned.folder
    if how == "finished":
        return
    arguments = ["train", *planned.arguments] if how == "new" else ["resume", str(folder)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.parent / f"{folder.name}.log"
    print(f"{how:4} ssl-mix {shlex.join(arguments)}", flush=True)
    with open(log, "a") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ssl_mix", *arguments], stdout=output, stderr=output
        )
        RUNNING.append(process)
        process.wait()
        RUNNING.remove(process)
    if process.returncode != 0 or planned.state != "finished":
        last = "\n".join(log.read_text().strip().splitlines()[-40:])
        raise UserError(f"{folder} is not finished; the end of {log}:\n{last}")


RUNNING: list[subprocess.Popen[bytes]] = []


def stop(number: int, frame: object) -> NoReturn:
    """Let running processes save what they have, wait for them, and end."""
    del number, frame
    for process in RUNNING:
        process.send_signal(signal.SIGINT)
    for process in list(RUNNING):
        process.wait()
    print("stopped; the same command goes on", file=sys.stderr, flush=True)
    os._exit(130)


def result(planned: Planned) -> dict[str, Any]:
    """What came out of a finished run, in per cent."""
    records = read_metrics(planned.folder)
    found = summarise(records)
    torch.set_num_threads(read_config(planned.folder)["train"]["threads"])
    shares = {name: getattr(found, name) for name in ("coverage", "precision", "agreement")}
    errors = {name: getattr(found, name) for name in METRICS}
    return {
        **planned.job._asdict(),
        **{name: None if value is None else round(100 * (1 - value), 4) for name, value in errors.items()},
        **{name: None if value is None else round(100 * value, 4) for name, value in shares.items()},
        "seconds": round(found.seconds),
        "images_per_second": round(statistics.median(record["images_per_second"] for record in records)),
        "identity": planned.identity,
        **circumstances(resolve_device(planned.run.config.device)),
    }


def read_lines(file: Path, planned: Sequence[Planned]) -> list[dict[str, Any]]:
    """The lines of a file of results that are of the planned runs, whatever else it holds."""
    wanted = {each.job: each.identity for each in planned}
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    return [line for line in lines if wanted.get(Job(*(line[n] for n in Job._fields))) == line["identity"]]


def table(lines: Sequence[dict[str, Any]], data: str) -> str:
    """Markdown: one table for each metric, and the published numbers below."""
    columns = sorted({line["labels"] for line in lines})
    rows = sorted(
        {(line["algorithm"], line["mix"]) for line in lines},
        key=lambda row: (list(ALGORITHMS).index(row[0]), MIXES.index(row[1])),
    )
    text = []
    for metric, words in METRICS.items():
        text += [f"{data}: {words}, error in %, mean +- deviation (seeds)", ""]
        text += ["| algorithm | mixing | " + " | ".join(f"{count} labels" for count in columns) + " |"]
        text += ["|---|---|" + "---|" * len(columns)]
        for algorithm, mix in rows:
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
            text.append(f"| {algorithm} | {mix} | " + " | ".join(cells) + " |")
        text.append("")
    for algorithm, mix in rows:
        for count in columns:
            for found in published(data, count, algorithm if mix == "none" else f"{algorithm}+{mix}"):
                deviation = "" if found.deviation is None else f" +- {found.deviation}"
                name = algorithm if mix == "none" else f"{algorithm} + {mix}"
                text.append(
                    f"- published, {name}, {count} labels: {found.mean}{deviation} ({found.source}; {found.metric}; {found.net})"
                )
    return "\n".join(text).rstrip() + "\n"


def cell(values: Sequence[float | None]) -> str:
    """Mean, sample deviation and number of the values."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    deviation = f" +- {statistics.stdev(known):.2f}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):.2f}{deviation} ({len(known)})"


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line.

    Raises:
        ValueError: an unknown algorithm, or labels for a data set that has no usual numbers.
    """
    own, flags = list(arguments), []
    if "--" in own:
        own, flags = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="cifar10, cifar100, svhn, stl10, digits, or folder")
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS), metavar="NAME")
    parser.add_argument("--mix", nargs="+", default=["none", "dm-as"], choices=MIXES)
    parser.add_argument("--labels", nargs="+", type=int, help="default: the usual numbers of the data set")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAMES:FLAGS",
        help="'fixmatch,uda: --unlabeled-ratio 3'",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/cifar_ssl"))
    parser.add_argument("--json", type=Path, required=True, help="file of results, added to")
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--table-only", action="store_true", help="train nothing")
    parser.add_argument("--dry-run", action="store_true", help="list the runs and what has become of them")
    options = parser.parse_args(own)
    options.flags = flags
    parted = (only.partition(":") for only in options.only)
    options.only = [(names.replace(" ", "").split(","), shlex.split(only)) for names, _, only in parted]
    options.labels = options.labels or LABELS.get(options.data)
    for name in (*options.algorithms, *(name for names, _ in options.only for name in names)):
        check_choice("algorithm", name, ALGORITHMS)
    for flag in (*flags, *(flag for _, only in options.only for flag in only)):
        if flag.partition("=")[0] in OWN:
            raise UserError(
                f"{flag} is set for each run by this script: leave it out behind -- and in --only"
            )
    if not options.labels:
        raise UserError(f"--data {options.data} has no usual numbers of labels: give --labels")
    check_count("jobs", options.jobs)
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then print the table."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        run(read_options(sys.argv[1:] if arguments is None else arguments))
    except UserError as error:
        sys.exit(f"cifar_ssl: {error}")


def run(options: argparse.Namespace) -> None:
    """Train what is missing, add its lines, print the table.

    Raises:
        ValueError: what was asked for is wrong, or some of the runs failed.
    """
    planned = plan(options)
    states = [(each.state, each) for each in planned]
    if options.dry_run:
        for how, each in states:
            print(f"{how:8} {each.run.config.steps} steps  {each.folder}")
        return
    failures = []
    if not options.table_only:
        with ThreadPoolExecutor(options.jobs) as pool:
            futures = [pool.submit(finish, each, options.json, planned) for each in planned]
        failures = [str(error) for future in futures if (error := future.exception())]
    text = table(read_lines(options.json, planned), options.data)
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text)
    if failures:
        raise UserError("\n".join([f"{len(failures)} of {len(planned)} runs failed:", *failures]))


def finish(each: Planned, file: Path, planned: Sequence[Planned]) -> None:
    """Train a run to its end, and add its line unless it is there."""
    train(each)
    if not any(line["identity"] == each.identity for line in read_lines(file, planned)):
        append_line(file, result(each))


if __name__ == "__main__":
    main()
