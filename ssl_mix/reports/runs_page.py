"""The page of several runs."""

import shlex
import statistics
from collections.abc import Sequence

from ssl_mix.errors import counts_of
from ssl_mix.reports.blocks import Block, Chart, Commands, Fold, Number, Point, Section, Series, Table, Text
from ssl_mix.reports.compared import cells, tested_words
from ssl_mix.reports.comparison import Comparison, Group
from ssl_mix.reports.curves import PERCENT, curve
from ssl_mix.reports.headline import data_name, duration, headline
from ssl_mix.reports.page import render
from ssl_mix.reports.run_page import BUDGET, sections
from ssl_mix.reports.told import Told

CURVES = {
    "test_accuracy": ("Test accuracy", PERCENT),
    "loss": ("Loss", ""),
    "bank_coverage": ("Coverage of pseudo-labels", PERCENT),
    "bank_precision": ("Precision of pseudo-labels", PERCENT),
}


def runs_page(
    comparison: Comparison,
    details: Sequence[Told] = (),
    budget: int = BUDGET,
    *,
    title: str = "",
    before: Sequence[Block] = (),
    after: Sequence[Section] = (),
) -> str:
    """The page of several runs as HTML: table, paired differences, curves, and the runs one by one.

    Args:
        comparison: of the runs.
        details: what is known of each of those that are to be shown one by one.
        budget: characters of pictures, of all runs together.
        title: default: what the runs learned from.
        before: blocks above the table.
        after: sections at the end.
    """
    configs = [run.config for run in comparison.runs] or [told.config for told in details]
    names = list(dict.fromkeys(map(data_name, configs)))
    title = title or f"{counts_of(len(configs), 'run')} on {', '.join(names)}"
    parts = []
    if comparison.groups:
        parts = [
            Section("Comparison", comparison_blocks(comparison)),
            Section("Curves", comparison_curves(comparison.groups) or [Text("No curve is recorded.")]),
            Section("Every run", [every_run(comparison)]),
        ]
    for told in details:
        own = sections(told, budget // max(1, len(details)))
        folded = [Fold(section.heading, section.blocks) for section in own]
        parts.append(Section(str(told.folder), [*headline(told), *folded]))
    top: list[Block] = list(before) or [Text(best_of(comparison))]
    return render(title, top, [*parts, *after])


def best_of(comparison: Comparison) -> str:
    """The result in one sentence."""
    known = [(group, group.values(lambda run: run.summary.last)) for group in comparison.groups]
    known = [(group, values) for group, values in known if values]
    if not comparison.groups:
        return "None of these runs is finished: there is nothing to compare yet."
    if not known:
        return "None of these runs was tested."
    group, values = max(known, key=lambda pair: statistics.fmean(pair[1]))
    images = group.runs[0].config["dataset"].get("test_images")
    runs = counts_of(len(values), "run")
    kinds = "" if len(known) == 1 else f" the most of {len(known)} kinds of runs,"
    mean = 100 * statistics.fmean(values)
    return (
        f"{group.name} recognizes {mean:.1f} % of {counts_of(images, 'test image')},{kinds} on average of "
        f"{runs}."
    )


def comparison_blocks(comparison: Comparison) -> list[Block]:
    """The table of ``ssl-mix compare`` with what it means, and the notes."""
    header, rows = cells(comparison)
    several = any(len(group.runs) > 1 for group in comparison.groups)
    caption = "Mean +- deviation over the seeds of n runs" if several else "One run of each"
    caption += f"; {tested}" if (tested := tested_words(comparison)) else ""
    if len(comparison.groups) > 1:
        caption += (
            "; to the first: mean difference in points over the seeds that both have, with its 95 % interval "
            "by Student's t where there are two pairs or more"
        )
    notes: list[Block] = [Text(note, warning=True) for note in comparison.notes]
    folders = [shlex.quote(str(run.folder)) for run in comparison.runs]
    again = Fold("The same in the terminal", [Commands(f"ssl-mix compare {' '.join(folders)}")])
    return [Table(rows, header, caption), *notes, again]


def comparison_curves(groups: Sequence[Group]) -> list[Block]:
    """Means of the groups, their single runs as thin lines."""
    found: list[Block] = []
    for name, (title, unit) in CURVES.items():
        factor = 100.0 if unit else 1.0
        series = []
        for group in groups:
            lines = [points for run in group.runs if len(points := curve(run.records, name, factor)) > 1]
            if lines:
                series.append(Series(group.name, mean_curve(lines), lines if len(lines) > 1 else ()))
        found += [Chart(title, series, unit)] if series else []
    return found


def mean_curve(lines: Sequence[Sequence[Point]]) -> list[Point]:
    """The mean of curves at the steps that all of them have; where those are fewer than two, the first."""
    by_step = [dict(line) for line in lines]
    steps = sorted(set.intersection(*(set(one) for one in by_step)))
    if len(steps) < 2:
        return list(lines[0])
    return [(step, statistics.fmean(one[step] for one in by_step)) for step in steps]


def every_run(comparison: Comparison) -> Table:
    """A row for each run."""
    rows = []
    for group in comparison.groups:
        for run in group.runs:
            last, seconds = run.summary.last, run.summary.seconds
            accuracy = "-" if last is None else Number(f"{100 * last:.1f} %", last)
            took = Number(duration(seconds), seconds)
            seed, images = run.config["train"]["seed"], run.config["dataset"].get("test_images", 0)
            numbers = (Number(str(seed), seed), accuracy, Number(str(images), images), took)
            rows.append((str(run.folder), group.name, *numbers))
    header = ("folder", "run", "seed", "test accuracy", "test images", "took")
    return Table(rows, header, sortable=True)
