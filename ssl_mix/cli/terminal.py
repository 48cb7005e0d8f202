"""What the terminal shows while something takes time."""

import ctypes
import platform
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ssl_mix.cli.lines import TrainingLines
from ssl_mix.ranks import rank
from ssl_mix.runs.folder import Record, is_run
from ssl_mix.runs.stopping import check_not_stopped

QUIET = 10.0  # seconds between two lines of reading


class Terminal(Console):
    """A console that leaves it to the command what a pipe means that nobody reads any more."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled."""
        raise


console = Terminal()


def is_live() -> bool:
    """Whether a bar can move where the output goes."""
    return sys.stdout is not None and sys.stdout.isatty() and not console.is_dumb_terminal


def warn(message: str) -> None:
    """One line on stderr, with flags for the arguments that it names; of several processes the first one
    warns."""
    if rank() > 0:
        return
    Terminal(stderr=True).print(Text.assemble(("note: ", "yellow"), as_flags(message)), soft_wrap=True)


def as_flags(message: str) -> str:
    """A message of the library, which names arguments (`lr`, `mix=dm`), with the flags that stand for
    them."""

    def flag(match: re.Match[str]) -> str:
        name, value = match[1].replace("_", "-"), match[2]
        return f"--{name}" if value is None else f"--{name} {value}"

    return re.sub(r"`([a-z][a-z_0-9]*)(?:=([^`]*))?`", flag, message)


def say(message: str) -> None:
    """A message on stdout, as it is: no markup, no line breaks of our own."""
    console.print(message, highlight=False, markup=False, soft_wrap=True)


class _Metrics(ProgressColumn):
    """Loss and pseudo-label coverage of the last record."""

    def render(self, task: Task) -> Text:
        record: Record = task.fields.get("record", {})
        parts = [
            f"{name} {record[name]:.3f}" for name in ("loss", "coverage", "test_accuracy") if name in record
        ]
        return Text("  ".join(parts))


class TrainingBar:
    """How far training is: call it with each record.

    Args:
        bar: what moves on a terminal.
        lines: what is told elsewhere.
    """

    def __init__(self, bar: Progress, lines: TrainingLines) -> None:
        self.bar, self.lines, self.latest = bar, lines, Record()
        self.task = bar.add_task("", total=lines.steps, completed=lines.done, record=self.latest)

    def __call__(self, record: Record) -> None:
        """Show a record."""
        self.latest.update(record)
        self.bar.update(self.task, completed=record["step"], record=self.latest)
        line = self.lines.line(record) if self.bar.disable else None
        if line is not None:
            print(line, flush=True)

    def between(self, step: int, glance: Callable[[], Record]) -> None:
        """Show that a step was taken that has no record; ``glance`` makes one where a line is due."""
        self.bar.update(self.task, completed=step)
        if self.bar.disable and self.lines.due(step):
            self(glance())


@contextmanager
def training_bar(label: str, steps: int, done: int = 0) -> Iterator[TrainingBar]:
    """A live bar with loss, pseudo-label coverage, latest test accuracy and time left.

    Where the output is no terminal, lines instead, see :class:`ssl_mix.cli.lines.TrainingLines`.
    """
    columns = (
        TextColumn(label),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        _Metrics(),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not is_live()) as bar:
        yield TrainingBar(bar, TrainingLines(label, steps, done))


@contextmanager
def before_it_begins(out: Path) -> Iterator[None]:
    """Within the block an interruption says what is left of a run that is not yet there: nothing."""
    try:
        yield
    except KeyboardInterrupt:
        if not is_run(out):
            warn(f"{out} had not begun, and nothing is kept of it: the same command starts again")
        raise


@contextmanager
def reading_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for reading files: call it with (label, done, total).

    Where the output is no terminal, a line on stderr now and then.
    """
    said = time.perf_counter()
    with Progress(console=console, transient=True, disable=not is_live()) as bar:
        tasks: dict[str, int] = {}
        begun: set[str] = set()  # of which lines were printed

        def show(label: str, done: int, total: int) -> None:
            nonlocal said
            check_not_stopped()
            if label not in tasks:
                tasks[label] = bar.add_task(label, total=total)
            bar.update(tasks[label], completed=done)  # type: ignore[arg-type]
            due = not done or time.perf_counter() - said > QUIET or (done == total and label in begun)
            if bar.disable and rank() == 0 and due:
                said = time.perf_counter()
                begun.add(label)
                if done == total:
                    begun.discard(label)
                print(f"{label}: {done} of {total}", file=sys.stderr, flush=True)

        yield show


def keep_freed_memory() -> bool:
    """Let glibc keep large freed blocks for the next step instead of returning them to the system; True if it
    does.

    By default every activation of a CPU step is a fresh mapping whose pages fault in one by one: float32
    steps of WRN-28-2 on 480 images take a median of 4.0 s instead of 3.2 s then (2 cores). Process-wide, so
    for a command, not for a library.
    """
    mmap_max, trim_threshold = -4, -1  # M_MMAP_MAX, M_TRIM_THRESHOLD of malloc.h
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(mmap_max, 0) and libc.mallopt(trim_threshold, 2**31 - 1))
