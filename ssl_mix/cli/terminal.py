"""What the terminal shows while something takes time."""

import ctypes
import platform
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ssl_mix.runs.folder import Record

console = Console()


def warn(message: str) -> None:
    """One line on stderr, with flags for the arguments that it names."""
    Console(stderr=True).print(Text.assemble(("note: ", "yellow"), as_flags(message)), soft_wrap=True)


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


@contextmanager
def training_bar(label: str, steps: int, done: int = 0) -> Iterator[Callable[[Record], None]]:
    """A live bar with loss, pseudo-label coverage, latest test accuracy and time left.

    Where the output is no terminal, one line for each evaluation instead.
    """
    latest: Record = {}
    columns = (
        TextColumn(label),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        _Metrics(),
    )
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(label, total=steps, completed=done, record=latest)

        def show(record: Record) -> None:
            latest.update(record)
            bar.update(task, completed=record["step"], record=latest)
            if not console.is_terminal and "test_accuracy" in record:
                print(f"{label}  {summary_line(record, steps)}", flush=True)

        yield show


def summary_line(record: Record, steps: int) -> str:
    """One record in one line."""
    parts = [f"step {record['step']:.0f}/{steps}", f"loss {record['loss']:.3f}"]
    parts += [
        f"{name.replace('_', ' ')} {record[name]:.3f}"
        for name in ("coverage", "test_accuracy")
        if name in record
    ]
    return "  ".join(parts)


@contextmanager
def reading_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for reading files: call it with (label, done, total)."""
    with Progress(console=console, transient=True, disable=not sys.stdout.isatty()) as bar:
        tasks: dict[str, int] = {}

        def show(label: str, done: int, total: int) -> None:
            if label not in tasks:
                tasks[label] = bar.add_task(label, total=total)
            bar.update(tasks[label], completed=done)  # type: ignore[arg-type]

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
