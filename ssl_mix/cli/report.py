"""``ssl-mix report`` and ``ssl-mix compare``: what runs have come to, as a page and as a table."""

from collections.abc import Callable
from pathlib import Path

import tyro
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ssl_mix.cli.terminal import as_flags, console, reading_bar, say, warn
from ssl_mix.cli.use import check_writable
from ssl_mix.errors import UserError
from ssl_mix.reports.compared import as_csv, as_latex, as_markdown, cells, tested_words
from ssl_mix.reports.comparison import Comparison, compare, run_folders
from ssl_mix.reports.headline import answer
from ssl_mix.reports.run_page import run_page
from ssl_mix.reports.runs_page import runs_page
from ssl_mix.reports.told import told_in
from ssl_mix.runs.folder import write_text

RunFolders = tyro.conf.Positional[list[Path]]


def report(
    runs: RunFolders,
    *,
    out: Path,
    details: bool = True,
    device: str = "auto",
    overwrite: bool = False,
) -> None:
    """Write one HTML page about one or several runs: curves, confusions, pictures, settings, comparisons.

    The page needs nothing beside it, opens without a network, and tells in a sentence what a run lacks: its
    end, test images, unlabeled images, or data that have moved. Test images are looked at anew.

    Args:
        runs: folders of runs; one that holds runs, a benchmark's or a demo's for instance, stands for them.
        out: the HTML file.
        details: of several runs, show each with its pictures too, not the comparison alone.
        device: "auto", "cpu" or "cuda".
        overwrite: replace a file that is there.
    """
    check_writable(out, overwrite=overwrite)
    folders = checked(runs)
    comparison = compare(folders, unfinished=True) if len(folders) > 1 else None
    looked_at = folders if comparison is None or details else []
    with reading_bar() as progress:
        told = [told_in(folder, device, progress, as_flags) for folder in looked_at]
        page = run_page(told[0]) if comparison is None else runs_page(comparison, told)
    write_text(out, page)
    for one in told:
        say(f"{one.folder}: {answer(one)}" if comparison is not None else answer(one))
    say(f"Report  {out}")


def compare_command(
    runs: RunFolders,
    *,
    csv: Path | None = None,
    latex: Path | None = None,
    markdown: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Compare runs: mean and deviation over seeds of those that differ in nothing else, and differences to
    the first kind over the seeds that both have, with their 95 % intervals by Student's t.

    Args:
        runs: folders of runs; one that holds runs, a benchmark's or a demo's for instance, stands for them.
        csv: file for the numbers, unrounded.
        latex: file for a tabular with the rules of booktabs.
        markdown: file for a table as GitHub shows them.
        overwrite: replace files that are there.
    """
    wanted: list[tuple[str, Path | None, Callable[[Comparison], str]]] = [
        ("csv", csv, as_csv),
        ("latex", latex, as_latex),
        ("markdown", markdown, as_markdown),
    ]
    for name, path, _ in wanted:
        if path is not None:
            check_writable(path, name, overwrite=overwrite)
    comparison = compare(checked(runs))
    header, rows = cells(comparison)
    table = Table(*map(escape, header), box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)
    if tested := tested_words(comparison):
        say(f"n runs, mean +- deviation; {tested}")
    for note in comparison.notes:
        warn(note)
    for _, path, written in wanted:
        if path is not None:
            write_text(path, written(comparison))
            say(f"Table   {path}")


def checked(runs: list[Path]) -> list[Path]:
    """The folders of the runs that are meant.

    Raises:
        ValueError: none is.
    """
    if not runs:
        raise UserError("expected folders of runs, got none")
    return run_folders(runs)
