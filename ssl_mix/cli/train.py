"""``ssl-mix train``: from words to a run, and through it with a live bar."""

import sys
from collections.abc import Sequence

from rich.table import Table

from ssl_mix.algorithm import Algorithm
from ssl_mix.cli.help import print_help
from ssl_mix.cli.processes import began_before
from ssl_mix.cli.terminal import (
    before_it_begins,
    console,
    keep_freed_memory,
    reading_bar,
    say,
    training_bar,
    warn,
)
from ssl_mix.cli.words import Words, read_words
from ssl_mix.errors import UserError, counts_of
from ssl_mix.ranks import count, rank
from ssl_mix.recipes import GENERAL
from ssl_mix.recipes.build import Built, build_run, defaults_of
from ssl_mix.reports import write_reports
from ssl_mix.reports.page import REPORT
from ssl_mix.reports.summary import Summary, summary_rows
from ssl_mix.runs.folder import chosen_by_auto, read_config
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import Session, reopen, start
from ssl_mix.runs.stopping import Stopped
from ssl_mix.shell import quoted

MUCH_WAITING = 0.2  # share of the training time
SECONDS_THAT_COUNT = 10  # of shorter training it says nothing


def train(arguments: Sequence[str]) -> None:
    """Train a classifier from few labels.

    Args:
        arguments: the words behind ``ssl-mix train``.

    Raises:
        ValueError: a word means nothing, an option is out of range, or the data are not as they should be.
    """
    words = read_words(arguments)
    if words.help:
        explain(words)
        return
    built = built_from(words)
    if words.out is None:
        raise UserError("`out` is missing: name the folder of the run")
    with before_it_begins(words.out), reading_bar() as progress:
        if began_before(words.out, overwrite=words.overwrite):
            session = reopen(words.out, progress=progress)
        else:
            session = start(built.run, words.out, overwrite=words.overwrite, progress=progress)
    finish(session)


def explain(words: Words, command: str = "train") -> None:
    """Print the help of a command that was asked for."""
    usual = "fixmatch" if words.recipe in GENERAL else "supervised"
    defaults = defaults_of(words.algorithm or usual, words.options, words.recipe)
    print_help(words.algorithm, defaults, every=words.help == "all", command=command)


def built_from(words: Words) -> Built:
    """The run that words describe, with a note of what must be told of them."""
    built = build_run(words.algorithm, words.options, words.recipe)
    for note in built.notes:
        warn(note)
    return built


def read_run(arguments: Sequence[str]) -> Run:
    """The run that ``ssl-mix train ARGUMENTS`` would start.

    Raises:
        ValueError: an option is unknown or out of range.
    """
    return built_from(read_words(arguments)).run


def train_through(session: Session, name: str) -> None:
    """Train to the end with a live bar; whatever stops it, what was learned is saved.

    Raises:
        SystemExit: a signal came; what to type next has been said.
        BrokenPipeError: nobody reads the output any more.
    """
    try:
        step_through(session, name)
    except Stopped as stopped:
        say(f"stopped after step {session.trainer.step}; go on with: ssl-mix resume {quoted(session.folder)}")
        if rank() == 0:
            write_reports(session)
        sys.exit(stopped.status)


def step_through(session: Session, name: str) -> None:
    """Train to the end with a live bar.

    Raises:
        Stopped: a signal came.
        BrokenPipeError: nobody reads the output any more; what was learned is saved.
    """
    trainer = session.trainer
    try:
        with training_bar(name, trainer.config.steps, trainer.step) as bar:
            for record in session.steps():
                bar.between(trainer.step, trainer.glance) if record is None else bar(record)
    except BrokenPipeError:
        session.save()
        raise


def of_processes() -> str:
    """How many processes train, where they are several."""
    return f" in {count()} processes" if count() > 1 else ""


def finish(session: Session) -> None:
    """Train with a live bar, then say what came out and what to type next."""
    for message in session.notes:
        warn(message)
    trainer = session.trainer
    if trainer.device.type == "cpu":
        keep_freed_memory()
    name = name_of(session)
    split = trainer.split
    unused = "" if trainer.algorithm.unlabeled_views or not split.unlabeled else used_by_start(session)
    say(
        f"{name} on {trainer.data.name}: {len(split.labeled)} labeled, {len(split.validation)} held out and "
        f"{counts_of(len(split.unlabeled), 'unlabeled image')}{unused}, {len(trainer.data.classes)} classes, "
        f"on {trainer.device}{of_processes()}; step {trainer.step} of {trainer.config.steps}"
    )
    if trainer.step == 0 and type(trainer.algorithm).begin is not Algorithm.begin:
        say(f"{name} looks at all labeled images before the first step")
    before = trainer.seconds
    train_through(session, name)
    if rank() == 0:
        tell(write_reports(session), session, before)


def used_by_start(session: Session) -> str:
    """What becomes of the unlabeled images of a run whose steps see none."""
    begun = read_config(session.folder).get("start")
    used = isinstance(begun, dict) and begun.get("head") in ("prototypes", "whitened")
    return " (for the start of the head)" if used else " (not used)"


def name_of(session: Session) -> str:
    """What a run is of, for people: its algorithm, or what ``auto`` chose."""
    chosen = chosen_by_auto(session.folder)
    return type(session.trainer.algorithm).__name__ if chosen is None else f"auto: {chosen}"


def instead(summary: Summary, session: Session) -> str:
    """What to do about a run that ended below the probe: training has lost what the head began with, or that
    was below it already."""
    if session.trainer.config.steps == 1:
        return ""
    begun = read_config(session.folder).get("start")
    free = chosen_by_auto(session.folder) is None  # auto chooses the start
    if free and isinstance(begun, dict) and begun.get("head") == "random":
        return ": begin with it (`head_start=probe`), or take more `steps`"
    if free and summary.start is not None and (summary.last or 0.0) >= summary.start:
        return f", as was the head that it started from ({summary.start:.1%}): take `head_start=probe`"
    return ": lower `lr` or take fewer `steps`"


def tell(summary: Summary, session: Session, before: float) -> None:
    """Say what came out of a run, of which the steps began after ``before`` seconds, and what to type
    next."""
    trainer, folder = session.trainer, session.folder
    name = name_of(session)
    if (summary.data_wait or 0.0) > MUCH_WAITING and summary.seconds - before > SECONDS_THAT_COUNT:
        warn(
            f"training waited {summary.data_wait:.0%} of its time for images to be read: keep them in "
            "memory (--memory-gb), or decode them once (--cache-images DIR)"
        )
    if summary.last is not None and summary.last < (summary.probe or 0.0):
        warn(
            f"training ended at {summary.last:.1%}, below the linear probe on the features that it began "
            f"with ({summary.probe:.1%}){instead(summary, session)}"
        )
    test = "" if trainer.data.test else " --test DIR"
    table = Table(title=f"{name} on {trainer.data.name}", show_header=False)
    for row in summary_rows(summary):
        table.add_row(*row)
    console.print(table)
    say(
        f"Report  {folder / REPORT}\nCurves  tensorboard --logdir {quoted(folder)}\n"
        f"Next    ssl-mix evaluate {quoted(folder)}{test}\n        ssl-mix predict {quoted(folder)} IMAGE... "
        "--out predictions.csv"
    )
