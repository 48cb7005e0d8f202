"""What the benchmarks of whole runs share: planning them, training what is missing, keeping their lines,
printing cells of tables."""

import argparse
import dataclasses
import inspect
import os
import shlex
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import torch
from measuring import append_line, circumstances, lines_of
from sweeps import add_flags, claimed, submit

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.augment.views import Augmentation
from ssl_mix.cli.terminal import as_flags
from ssl_mix.cli.train import read_run
from ssl_mix.datasets import DataSet, Split
from ssl_mix.datasets.decode_many import available_cpus
from ssl_mix.engine.execution import resolve_device
from ssl_mix.engine.feed import check_parts
from ssl_mix.errors import UserError, check_count
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.folder import Record, read_config, read_metrics
from ssl_mix.runs.identity import check_same, identity_of
from ssl_mix.runs.run import Run

MIXES = ("none", "mixup", "dm", "as", "dm-as")
OWN = ("--data", "--labels", "--labels-per-class", "--seed", "--split-seed", "--mix", "--out", "--overwrite")
LITTLE_MEMORY = 1e-6  # GiB: the images stay in their files while runs are planned
PAUSE = 2.0  # seconds between looks at the runs of other processes
RUNNING: list[subprocess.Popen[bytes]] = []
STARTING, STOPPED = threading.Lock(), threading.Event()  # once stopped, nothing is started

Identity = dict[str, Any]
Line = dict[str, Any]


class Planned(NamedTuple):
    """A run that was asked for, checked against its data.

    Attributes:
        job: which; a named tuple whose fields are in the line of its result.
        folder: where it is kept.
        arguments: of ``ssl-mix train``.
        run: what they mean.
        identity: what decides its bits, but for the number of threads.
        defaults: the same of a run without any flags: what options were before they existed.
    """

    job: Any
    folder: Path
    arguments: list[str]
    run: Run
    identity: Identity
    defaults: Identity

    @property
    def state(self) -> str:
        """ "new", "cut" or "finished".

        Raises:
            ValueError: the folder holds another run.
        """
        config = self.folder / "config.json"
        if not config.exists():
            return "new"
        self.check(identity_of(read_config(self.folder)), config)
        records = read_metrics(self.folder)
        return "finished" if records and records[-1]["step"] == self.run.config.steps else "cut"

    def check(self, identity: Identity, source: Path) -> None:
        """Raise with the differences unless ``identity``, read from ``source``, is of this run; where it may
        choose its precision, of either."""
        then = completed(identity, self.defaults)
        if self.identity["train.amp"] == "auto":
            then |= {"train.amp": "auto"}
        check_same(without_threads(then), without_threads(self.identity), source)

    def has(self, line: Line) -> bool:
        """Whether a line of results is of this run."""
        if any(line.get(name) != value for name, value in self.job._asdict().items()):
            return False
        try:
            self.check(line["identity"], self.folder)
        except UserError:
            return False
        return True


def completed(identity: Identity, defaults: Identity) -> Identity:
    """``identity`` with the default of each option that did not exist when it was written."""
    inner = {
        name: completed(value, defaults[name])
        for name, value in identity.items()
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
    }
    return defaults | identity | inner


def without_threads(identity: Identity) -> Identity:
    """The number of threads decides last bits alone, and a repetition on another machine may have another."""
    return {name: value for name, value in identity.items() if name != "train.threads"}


def has_option(algorithm: str, name: str) -> bool:
    """Whether the constructor of an algorithm takes a keyword."""
    return name in inspect.signature(ALGORITHMS[algorithm]).parameters


def makes_sense(algorithm: str, mix: str) -> bool:
    """Supervised training makes no pseudo-labels that "as" could mix; for algorithms that mix by themselves
    "mixup" is "none"."""
    if not has_option(algorithm, "mixing"):
        return mix == "none"
    if algorithm == "supervised":
        return mix in ("none", "mixup", "dm")
    return mix != "mixup" or algorithm not in ("mixmatch", "remixmatch")


def words_of(options: argparse.Namespace, names: Iterable[str], mine: dict[str, object]) -> list[str]:
    """Flags of one run: its own, those of all runs, and those that --only has for any of its names."""
    mine = mine | {"--threads": max(1, available_cpus() // (1 if options.slurm else options.jobs))}
    known = set(names)
    only = [flag for wanted, flags in options.only if known & set(wanted) for flag in flags]
    return [*(str(word) for pair in mine.items() for word in pair), *options.flags, *only]


def plan_run(
    job: Any, folder: Path, algorithm: str, words: Sequence[str], read: dict[DataOptions, DataSet]
) -> Planned:
    """A run with what it must be, from its flags, its images and its split.

    Args:
        job: which.
        folder: for it.
        algorithm: by name.
        words: flags of ``ssl-mix train`` but for --out.
        read: data sets that were read before, and are added to.

    Raises:
        ValueError: a flag, a number of labels or the data are wrong.
        SystemExit: a flag is unknown.
    """
    arguments = [algorithm, *words, "--out", str(folder)]
    run = read_run(arguments).settled()
    choice: dict[str, Any] = dict.fromkeys(
        ("labels", "labels_per_class", "label_rate", "label_list", "split_seed")
    )
    images = left_in_files(dataclasses.replace(run.data, **choice))
    data = read[images] = read.get(images) or images.load()
    split = run.data.choose_split(data, run.config.seed)
    check_parts(run.algorithm, split)
    identity = without_threads(identity_of(run.describe(data, split)))
    return Planned(job, folder, arguments, run, identity, defaults_of(run, data, split))


def left_in_files(data: DataOptions) -> DataOptions:
    """The same data, of which no picture is kept in memory where it has files."""
    return dataclasses.replace(data, memory_gb=LITTLE_MEMORY) if data.in_files else data


def defaults_of(run: Run, data: DataSet, split: Split) -> Identity:
    """The identity of a run with the same algorithm on the same images without any flags."""
    plain = Augmentation(data.of_pixels.mean, data.of_pixels.std)
    bare = Run(type(run.algorithm)(), run.data)
    return identity_of(bare.describe(dataclasses.replace(data, augmentation=plain), split))


def check_alike(planned: Sequence[Planned], group: Callable[[Any], object], names: Sequence[str]) -> None:
    """Raise if runs that are compared differ in what must not differ.

    Args:
        planned: runs.
        group: of a job; jobs of one group are compared.
        names: entries of the identity that a group shares.
    """
    first: dict[object, Planned] = {}
    for each in planned:
        one = first.setdefault(group(each.job), each)
        different = [
            f"{name} is {each.identity.get(name)!r}, not {one.identity.get(name)!r}"
            for name in names
            if each.identity.get(name) != one.identity.get(name)
        ]
        if different:
            raise UserError(f"{each.job} cannot be compared with {one.job}: {'; '.join(different)}")


def train(planned: Planned, lock: int) -> None:
    """Run or resume to the end, with the output in a file beside the folder.

    Args:
        planned: which.
        lock: descriptor of the lock on its folder, which the process that trains holds too.

    Raises:
        ValueError: it failed.
    """
    how, folder = planned.state, planned.folder
    if how == "finished":
        return
    arguments = ["train", *planned.arguments] if how == "new" else ["resume", str(folder)]
    log = folder.parent / f"{folder.name}.log"
    with open(log, "a") as output:
        with STARTING:
            if STOPPED.is_set():
                raise UserError(f"{folder}: stopped before it began")
            print(f"{how:4} ssl-mix {shlex.join(arguments)} >> {log}", flush=True)
            command = [sys.executable, "-m", "ssl_mix", *arguments]
            process = subprocess.Popen(command, stdout=output, stderr=output, pass_fds=[lock])
            RUNNING.append(process)
        process.wait()
        RUNNING.remove(process)
    if process.returncode != 0 or planned.state != "finished":
        last = "\n".join(log.read_text().strip().splitlines()[-40:])
        raise UserError(f"{folder} is not finished; the end of {log}:\n{last}")


def stop(number: int, frame: object) -> NoReturn:
    """Let running processes save what they have, wait for them, and end."""
    del frame
    with STARTING:
        STOPPED.set()
    for process in list(RUNNING):
        process.send_signal(signal.SIGINT)
    for process in list(RUNNING):
        process.wait()
    print("stopped; the same command goes on", file=sys.stderr, flush=True)
    os._exit(128 + number)


def line_of(planned: Planned, records: Sequence[Record], found: dict[str, Any]) -> Line:
    """A line of results: what was found in a finished run, between which run it is and how and where it
    went."""
    torch.set_num_threads(read_config(planned.folder)["train"]["threads"])
    return {
        **planned.job._asdict(),
        **found,
        "seconds": round(records[-1]["seconds"]),
        "images_per_second": round(statistics.median(record["images_per_second"] for record in records)),
        "identity": planned.identity,
        "amp": read_config(planned.folder)["train"]["amp"],
        **circumstances(resolve_device(planned.run.config.device)),
    }


def percent(share: float | None) -> float | None:
    """A share in per cent with four decimals; None for None."""
    return None if share is None else round(100 * share, 4)


def error(accuracy: float | None) -> float | None:
    """The error in per cent of an accuracy that is a share; None for None."""
    return None if accuracy is None else percent(1 - accuracy)


def read_lines(file: Path, planned: Sequence[Planned]) -> list[Line]:
    """The lines of a file of results that are of the planned runs, whatever else it holds."""
    return [line for line in lines_of(file) if any(each.has(line) for each in planned)]


def cell(values: Iterable[float | None], form: str = ".2f") -> str:
    """Mean, sample deviation and number of the values."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    deviation = f" +- {statistics.stdev(known):.2f}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):{form}}{deviation} ({len(known)})"


def header(*columns: str) -> list[str]:
    """The first two lines of a table in Markdown."""
    return [row(*columns), "|" + "---|" * len(columns)]


def row(*cells: str) -> str:
    """A line of a table in Markdown."""
    return f"| {' | '.join(cells)} |"


def parser_of(description: str | None, out: str) -> argparse.ArgumentParser:
    """A command line with the flags that all benchmarks of runs have.

    Args:
        description: of the script.
        out: default folder of the runs.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0, 1, 2], help="their numbers, not how many; default: 0 1 2"
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAMES:FLAGS",
        help="'fixmatch,uda: --unlabeled-ratio 3'",
    )
    parser.add_argument("--out", type=Path, default=Path(out), help=f"folder of the runs; default: {out}")
    parser.add_argument("--json", type=Path, required=True, help="file of results, added to")
    parser.add_argument("--markdown", type=Path, help="write the table there too")
    add_flags(parser)
    parser.add_argument("--table-only", action="store_true", help="train nothing")
    parser.add_argument("--dry-run", action="store_true", help="list the runs and what has become of them")
    return parser


def parse(
    parser: argparse.ArgumentParser, arguments: Sequence[str], own: Sequence[str] = OWN
) -> argparse.Namespace:
    """The command line; what follows "--" is in ``flags``, and ``only`` holds pairs of names and flags.

    Args:
        parser: for what stands before "--".
        arguments: all.
        own: flags of ``ssl-mix train`` that the script sets for each run.

    Raises:
        ValueError: a flag behind "--" or in --only is the script's to set, or a number is out of range.
    """
    words, flags = list(arguments), []
    if "--" in words:
        words, flags = words[: words.index("--")], words[words.index("--") + 1 :]
    options, unknown = parser.parse_known_args(words)
    if unknown:
        parser.error(
            f"unrecognized arguments: {shlex.join(unknown)} (flags of ssl-mix train stand behind --)"
        )
    options.words, options.flags = words, flags
    parted = (only.partition(":") for only in options.only)
    options.only = [(names.replace(" ", "").split(","), shlex.split(only)) for names, _, only in parted]
    for flag in (*flags, *(flag for _, only in options.only for flag in only)):
        if flag.partition("=")[0] in own:
            raise UserError(
                f"{flag} is set for each run by this script: leave it out behind -- and in --only"
            )
    check_count("jobs", options.jobs)
    return options


def carry_out(
    options: argparse.Namespace,
    planned: Sequence[Planned],
    result: Callable[[Planned], Line],
    table: Callable[[Sequence[Line]], str],
) -> None:
    """Train what is missing, add its lines, print the table. Several processes may do so at once.

    Args:
        options: from ``parse``.
        planned: all runs.
        result: the line of a finished run.
        table: text for the lines of the runs that are finished.

    Raises:
        ValueError: some of the folders hold other runs, or some of the runs failed.
    """
    states = [(each.state, each) for each in planned]
    if options.dry_run:
        for how, each in states:
            print(f"{how:8} {each.run.config.steps} steps  {each.folder}")
        return
    failures = []
    if options.slurm and not options.table_only:
        submit(options, result)
        failures = [f"{each.folder}" for each in planned if not read_lines(options.json, [each])]
    elif not options.table_only:
        failures = finish_all(options, planned, result)
    text = table(read_lines(options.json, planned))
    print(text)
    print(f"Next    ssl-mix compare {options.out} --latex table.tex")
    if options.markdown is not None:
        options.markdown.write_text(text)
    if failures:
        raise UserError("\n".join([f"{len(failures)} of {len(planned)} runs failed:", *failures]))


def finish_all(
    options: argparse.Namespace, planned: Sequence[Planned], result: Callable[[Planned], Line]
) -> list[str]:
    """Finish the runs that nobody else is at work on, then look after those of others until all are finished;
    returns what failed."""
    failures, told = [], False
    left = [(each, f"{number} of {len(planned)}") for number, each in enumerate(planned, 1)]
    while left:
        with ThreadPoolExecutor(options.jobs) as pool:
            futures = [pool.submit(finish, each, options.json, result, which) for each, which in left]
        failures += [str(failure) for future in futures if (failure := future.exception())]
        left = [
            one
            for one, future in zip(left, futures, strict=True)
            if not future.exception() and not future.result()
        ]
        if left and not told:
            print(f"{len(left)} of {len(planned)} runs are at work in other processes: waiting", flush=True)
            told = True
        time.sleep(PAUSE if left else 0)
    return failures


def finish(each: Planned, file: Path, result: Callable[[Planned], Line], which: str) -> bool:
    """Train a run to its end, and add its line unless it is there; False where somebody else is at it.
    ``which`` of how many it is is told."""
    with claimed(each.folder) as lock:
        if lock is None:
            return False
        train(each, lock)
        if not read_lines(file, [each]):
            line = result(each)
            append_line(file, line)
            told = f"error {line['error_last']:.2f} %, {line['seconds']} s"
            print(f"done {each.folder} ({which})  {told}", flush=True)
        return True


def run_script(name: str, work: Callable[[Sequence[str]], None], arguments: Sequence[str] | None) -> None:
    """Do the work of a script; Ctrl-C lets its runs save, and a user's mistake is one message.

    Args:
        name: of the script.
        work: with the arguments.
        arguments: default: those of the command line.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        work(sys.argv[1:] if arguments is None else arguments)
    except UserError as mistake:
        sys.exit(f"{name}: {as_flags(str(mistake))}")
