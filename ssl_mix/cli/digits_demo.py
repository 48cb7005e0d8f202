"""``ssl-mix demo --digits``: four ways to learn handwritten digits from the same few labels."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from ssl_mix.cli.terminal import console, say, training_bar
from ssl_mix.errors import counts_of
from ssl_mix.recipes.build import build_run
from ssl_mix.reports import write_reports
from ssl_mix.reports.blocks import Commands, Section, Text
from ssl_mix.reports.blocks import Table as TableBlock
from ssl_mix.reports.comparison import compare
from ssl_mix.reports.page import REPORT
from ssl_mix.reports.plots import plot_comparison, save_png
from ssl_mix.reports.runs_page import runs_page
from ssl_mix.reports.summary import Summary, summarize
from ssl_mix.runs.folder import Record, create_run_folder, read_metrics, write_text
from ssl_mix.runs.session import start

FORMAT = "ssl-mix demo 1"
PLOT, RESULTS = "curves.png", "results.json"
HEADER = ("method", "accuracy %", "best %", "confident %", "right %", "seconds")


METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "supervised": ("supervised", {}),
    "FixMatch": ("fixmatch", {}),
    "FixMatch + AS": ("fixmatch", {"mix": "as"}),
    "FixMatch + DM/AS": ("fixmatch", {"mix": "dm-as"}),
}


def digits_demo(
    out: Path,
    *,
    labels_per_class: int = 4,
    seeds: int = 3,
    steps: int = 500,
    overwrite: bool = False,
) -> None:
    """Show what unlabeled images are worth: train four methods on a few labeled handwritten digits.

    Supervised training, FixMatch, FixMatch + AS (labeled digits mixed into unlabeled ones) and FixMatch +
    DM/AS (labeled digits mixed with each other too) get the same labeled digits, network, steps and seeds.
    Ends with a table, a plot and a report.

    Args:
        out: folder for everything.
        labels_per_class: labeled digits of each class; the other training digits are unlabeled.
        seeds: repetitions, each with its own labeled digits and initial weights.
        steps: training steps of each run.
        overwrite: replace an earlier demo in that folder.
    """
    shared = {
        "data": "digits",
        "labels_per_class": labels_per_class,
        "steps": steps,
        "batch_size": 32,
        "lr": 0.1,
        "eval_every": max(1, steps // 10),
    }
    data = build_run("supervised", shared).run.data
    data.choose_split(data.load(), 0)  # refuses what cannot be, before anything is replaced
    create_run_folder(
        out, {"format": FORMAT, "demo": {"labels_per_class": labels_per_class}}, overwrite=overwrite
    )
    results: dict[str, list[list[Record]]] = {name: [] for name in METHODS}
    for seed in range(seeds):
        for name, (algorithm, options) in METHODS.items():
            run = build_run(algorithm, {**shared, **options, "seed": seed}).run
            folder = out / f"{name.lower().replace(' + ', '-').replace('/', '-')}-seed{seed}"
            opened = start(run, folder)
            with training_bar(f"seed {seed}  {name:<17}", steps) as show:
                for record in opened.records():
                    show(record)
            write_reports(opened)
            if not opened.finished:
                raise KeyboardInterrupt
            results[name].append(read_metrics(folder))
    finish(out, results, labels_per_class)


def finish(out: Path, results: dict[str, list[list[Record]]], labels_per_class: int) -> None:
    """Print the table, write plot, report and ``results.json``, and say what to type next."""
    summaries = {name: [summarize(records) for records in seeds] for name, seeds in results.items()}
    rows = [(name, *cells(found)) for name, found in summaries.items()]
    count = len(next(iter(summaries.values())))
    title = f"Digits, {counts_of(labels_per_class, 'label')} per class, n = {count}" + (
        " (mean +- deviation)" if count > 1 else ""
    )
    table = Table(*HEADER, title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for row in rows:
        table.add_row(*row)
    console.print(table)
    save_png(plot_comparison(results), out / PLOT)
    write_text(
        out / RESULTS, json.dumps({k: [asdict(s) for s in v] for k, v in summaries.items()}, indent=2) + "\n"
    )
    page = runs_page(
        compare([out]),
        title="Learning digits from few labels",
        before=[Text(EXPLANATION), TableBlock(rows, HEADER, title)],
        after=[Section("Next", [Commands(NEXT)])],
    )
    write_text(out / REPORT, page)
    console.print(EXPLANATION, highlight=False)
    say(f"\nPlot    {out / PLOT}\nReport  {out / REPORT}\nCurves  tensorboard --logdir {out}\n")
    say("Next:\n" + NEXT)


def cells(found: Sequence[Summary]) -> list[str]:
    """The cells of one method's row."""
    shares = ("last", "best", "coverage", "precision")
    columns = {name: [getattr(summary, name) for summary in found] for name in shares}
    seconds = statistics.fmean(summary.seconds for summary in found)
    return [*(share_cell(columns[name]) for name in shares), f"{seconds:.1f}"]


def share_cell(values: Sequence[float | None], form: str = ".1f") -> str:
    """Mean and sample deviation of shares, in percent; "-" where there are none."""
    known = [100 * value for value in values if value is not None]
    if not known:
        return "-"
    deviation = f" +- {statistics.stdev(known):.1f}" if len(known) > 1 else ""
    return f"{statistics.fmean(known):{form}}{deviation}"


EXPLANATION = (
    "Every row saw the same labeled digits. 'accuracy': on the test digits, after the last step; 'best' is "
    "picked among ten looks at "
    "them and flatters every row. 'confident': the share of unlabeled digits that the method labels itself "
    "at the end; "
    "'right': how many of these labels are true, which no method is told."
)
NEXT = """\
ssl-mix train fixmatch --data cifar10 --download --labels 250 --steps 10000 --out runs/cifar10
ssl-mix train fixmatch --labeled LABELED_FOLDER --unlabeled IMAGE_FOLDER --image-size 64 --out runs/mine
ssl-mix list"""
