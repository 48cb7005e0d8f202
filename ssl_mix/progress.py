"""What the terminal shows while something takes time."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from ssl_mix.engine.run_folder import Record

console = Console()


def warn(message: str) -> None:
    """One line on stderr."""
    Console(stderr=True).print(Text.assemble(("note: ", "yellow"), message), soft_wrap=True)


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
