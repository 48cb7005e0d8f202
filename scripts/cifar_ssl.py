"""The semi-supervised benchmark: algorithms x numbers of labels x seeds x mixing terms, on the same splits, with the same budget.

    python scripts/cifar_ssl.py --data cifar10 --algorithms fixmatch mixmatch --mix none mixup dm as dm-as --labels 40 250 4000 \
        --out runs/cifar_ssl --json results.jsonl -- --download --recipe paper

What follows ``--`` goes to ``ssl-mix train`` as it is, for every run; ``--only NAMES FLAGS`` adds flags for some algorithms. Each
run is a folder OUT/DATA-LABELS/ALGORITHM-MIX/seedK: a finished one is skipped, a cut one resumed to the bit, one with other flags
refused. Labelled pictures depend on the data, their number and the seed alone. Every finished run becomes one line of JSON;
the table is made from these lines, beside published numbers with their metric.

The tables of the papers: ``--recipe paper``, 2^20 steps of WRN-28-2 (WRN-28-8 for cifar100), for cifar10, cifar100 (400, 2500,
10000 labels), svhn and stl10. GPU hours: not run. On two CPU cores: ``-- --net small-cnn --steps 1600 --batch-size 32``.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from measuring import append_line, circumstances
from published import published

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.engine.run_folder import read_config, read_metrics
from ssl_mix.errors import UserError, check_choice
from ssl_mix.summary import summarise

LABELS = {
    "cifar10": (40, 250, 4000),
    "cifar100": (400, 2500, 10000),
    "svhn": (40, 250, 1000),
    "stl10": (40, 250, 1000),
}
MIXES = ("none", "mixup", "dm", "as", "dm-as")
# Flags that say where things are, or how a run is carried out, not what it is.
CIRCUMSTANTIAL = {"--data-dir", "--download", "--train", "--test", "--out", "--device", "--memory-gb"}
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

    def folder(self, options: argparse.Namespace) -> Path:
        """Where it is kept."""
        name = f"{options.data}-{self.labels}"
        return options.out / name / f"{self.algorithm}-{self.mix}" / f"seed{self.seed}"

    def flags(self, options: argparse.Namespace) -> list[str]:
        """What ``ssl-mix train ALGORITHM`` gets, but for ``--out``."""
        own = [flag for names, flags in options.only if self.algorithm in names for flag in flags]
        mine = {
            "--data": options.data,
            "--labels": self.labels,
            "--split-seed": self.seed,
            "--seed": self.seed,
        }
        mine |= {"--mix": self.mix}
        return [*(str(word) for pair in mine.items() for word in pair), *options.flags, *own]


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


def meaning(flags: Sequence[str]) -> dict[str, str]:
    """Flags and their values, without those that do not change what a run is."""
    found: dict[str, str] = {}
    name = ""
    for word in flags:
        if word.startswith("--"):
            name, _, value = word.partition("=")
            found[name] = value
        else:
            found[name] = f"{found[name]} {word}".strip()
    return {name: value for name, value in found.items() if name not in CIRCUMSTANTIAL}


def state(job: Job, options: argparse.Namespace) -> str:
    """ "new", "cut" or "finished".

    Raises:
        ValueError: the folder holds another run.
    """
    folder = job.folder(options)
    if not (folder / "config.json").exists():
        return "new"
    config = read_config(folder)
    command = config["command"]
    there, wanted = meaning(command[command.index(job.algorithm) + 1 :]), meaning(job.flags(options))
    differing = sorted(name for name in {*there, *wanted} if there.get(name) != wanted.get(name))
    if differing:
        changes = ", ".join(f"{n} {there.get(n)} then, {wanted.get(n)} now" for n in differing)
        raise UserError(f"{folder} holds a run with other flags ({changes}): choose another --out")
    records = read_metrics(folder)
    return "finished" if records and records[-1]["step"] == config["train"]["steps"] else "cut"


def train(job: Job, options: argparse.Namespace) -> None:
    """Run or resume one job to its end, its output in a file beside its folder.

    Raises:
        ValueError: it failed.
    """
    folder, how = job.folder(options), state(job, options)
    if how == "finished":
        return
    arguments = ["resume", str(folder)]
    if how == "new":
        arguments = ["train", job.algorithm, *job.flags(options), "--out", str(folder)]
    folder.parent.mkdir(parents=True, exist_ok=True)
    log = folder.parent / f"{folder.name}.log"
    print(f"{how:4} ssl-mix {shlex.join(arguments)}", flush=True)
    with open(log, "a") as output:
        done = subprocess.run([sys.executable, "-m", "ssl_mix", *arguments], stdout=output, stderr=output)
    if done.returncode != 0 or state(job, options) != "finished":
        last = "\n".join(log.read_text().strip().splitlines()[-40:])
        raise UserError(f"{folder} is not finished; the end of {log}:\n{last}")


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What must be equal for two runs to stand in one table."""
    only = {name: meaning(flags) for names, flags in options.only for name in names}
    return {"data": options.data, "flags": meaning(options.flags), "only": only}


def result(job: Job, options: argparse.Namespace) -> dict[str, Any]:
    """What came out of a finished run, in per cent."""
    folder = job.folder(options)
    config, records = read_config(folder), read_metrics(folder)
    found = summarise(records)
    shares = {name: getattr(found, name) for name in ("coverage", "precision", "agreement")}
    errors = {name: getattr(found, name) for name in METRICS}
    return {
        **job._asdict(),
        **{name: None if value is None else round(100 * (1 - value), 4) for name, value in errors.items()},
        **{name: None if value is None else round(100 * value, 4) for name, value in shares.items()},
        "seconds": round(found.seconds),
        "images_per_second": round(statistics.median(record["images_per_second"] for record in records)),
        "steps": config["train"]["steps"],
        "split_sha256": config["dataset"]["split_sha256"],
        "fingerprint": config["dataset"]["fingerprint"],
        "settings": settings(options),
    }


def read_lines(options: argparse.Namespace) -> list[dict[str, Any]]:
    """The lines of the file of results that have these settings.

    Raises:
        ValueError: lines to be compared are of other pictures or of other splits.
    """
    text = options.json.read_text() if options.json.exists() else ""
    lines = [line for line in map(json.loads, text.splitlines()) if line["settings"] == settings(options)]
    splits: dict[tuple[int, int], str] = {}
    for line in lines:
        split = line["fingerprint"] + line["split_sha256"]
        if splits.setdefault((line["labels"], line["seed"]), split) != split:
            raise UserError(
                f"{options.json} has runs of {line['labels']} labels, seed {line['seed']}, on different pictures or "
                "splits: they cannot be compared; choose another --json"
            )
    return lines


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
        nargs=2,
        action="append",
        default=[],
        metavar=("NAMES", "FLAGS"),
        help="'fixmatch,uda' '--unlabeled-ratio 3'",
    )
    parser.add_argument("--out", type=Path, default=Path("runs/cifar_ssl"))
    parser.add_argument("--json", type=Path, required=True, help="file of results, added to")
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--table-only", action="store_true", help="train nothing")
    parser.add_argument("--dry-run", action="store_true", help="list the runs and what has become of them")
    options = parser.parse_args(own)
    options.flags = flags
    options.only = [(names.split(","), shlex.split(only)) for names, only in options.only]
    options.labels = options.labels or LABELS.get(options.data)
    for name in (*options.algorithms, *(name for names, _ in options.only for name in names)):
        check_choice("algorithm", name, ALGORITHMS)
    if not options.labels:
        raise UserError(f"--data {options.data} has no usual numbers of labels: give --labels")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then print the table."""
    try:
        run(read_options(sys.argv[1:] if arguments is None else arguments))
    except UserError as error:
        sys.exit(f"cifar_ssl: {error}")


def run(options: argparse.Namespace) -> None:
    """Train what is missing, add its lines, print the table."""
    read_lines(options)
    states = {job: state(job, options) for job in jobs(options)}
    if options.dry_run:
        print("\n".join(f"{how:8} {job.folder(options)}" for job, how in states.items()))
        return
    if not options.table_only:
        with ThreadPoolExecutor(options.jobs) as pool:
            futures = {job: pool.submit(finish, job, options) for job in states}
            try:
                for future in futures.values():
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    text = table(read_lines(options), options.data)
    print(text)
    if options.markdown is not None:
        options.markdown.write_text(text)


def finish(job: Job, options: argparse.Namespace) -> None:
    """Train a job to its end, and add its line unless it is there."""
    train(job, options)
    there = {tuple(line[name] for name in Job._fields) for line in read_lines(options)}
    if job not in there:
        append_line(options.json, result(job, options) | circumstances())


if __name__ == "__main__":
    main()
