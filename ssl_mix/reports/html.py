"""The HTML report of a run: one file, no script, nothing fetched."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from matplotlib.figure import Figure

from ssl_mix.datasets import Split
from ssl_mix.reports.plots import plot_metrics, to_svg
from ssl_mix.reports.summary import Summary, summarize
from ssl_mix.runs.folder import SPLIT, read_config, read_metrics, write_text

REPORT = "report.html"
TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em;
  color: #222 }
table { border-collapse: collapse } 
td, th { padding: .2em .8em; border-bottom: 1px solid #ddd; text-align: left }
svg { max-width: 100%; height: auto } pre { background: #f5f5f5; padding: .6em; overflow-x: auto }
</style></head><body>
<h1>{{ title }}</h1>
{% for section in sections %}<h2>{{ section.heading }}</h2>
{% if section.text %}<p>{{ section.text }}</p>{% endif %}
{% if section.rows %}<table>
{% for row in section.rows %}<tr><th>{{ row[0] }}</th>
{% for cell in row[1:] %}<td>{{ cell }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endif %}
{% if section.figure %}{{ section.figure | svg | safe }}{% endif %}
{% if section.commands %}<pre>{{ section.commands }}</pre>{% endif %}
{% endfor %}</body></html>
"""


class Section(NamedTuple):
    """One part of a report: any of a paragraph, a table, a figure and command lines."""

    heading: str
    text: str = ""
    rows: Sequence[Sequence[object]] = ()
    figure: Figure | None = None
    commands: str = ""


def render(title: str, sections: Sequence[Section]) -> str:
    """The report as HTML; everything but figures is escaped."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["svg"] = to_svg
    return environment.from_string(TEMPLATE).render(title=title, sections=sections)


def write_report(folder: Path) -> Path:
    """Write ``report.html`` from the other files of the run in ``folder``."""
    config, records = read_config(folder), read_metrics(folder)
    split, classes = Split.load(folder / SPLIT), config["dataset"]["classes"]
    name = config["algorithm"]["name"]
    sections = [
        Section("Result", rows=summary_rows(summarize(records))),
        Section("Curves", figure=plot_metrics(records)),
        Section("Labeled images", text=split_text(split, len(classes))),
        *[Section(part, rows=_rows(config[key])) for part, key in _SETTINGS],
        Section("Versions", rows=_rows(config["versions"])),
        Section(
            "Next",
            commands=f"ssl-mix evaluate {folder}\nssl-mix predict {folder} IMAGE... --out predictions.csv",
        ),
    ]
    write_text(folder / REPORT, render(f"{name} on {config['dataset']['name']}", sections))
    return folder / REPORT


_SETTINGS = (("Algorithm", "algorithm"), ("Data", "data"), ("Network", "net"), ("Training", "train"))


def _rows(values: dict[str, Any]) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in values.items() if value is not None]


def summary_rows(summary: Summary) -> list[tuple[str, str]]:
    """The summary as (what, value) rows; what is not known is left out."""
    many = summary.evaluations > 10
    several = {
        "test accuracy, median of the last 10 evaluations": summary.median10,
        **({"test accuracy, median of the last 20 evaluations": summary.median20} if many else {}),
        "test accuracy, best (picked on the test part: not a fair estimate)": summary.best,
    }
    shares = {
        "test accuracy, linear probe on frozen features (before training)": summary.probe,
        "test accuracy, the start: probe and prototypes (before training)": summary.start,
        "test accuracy, last": summary.last,
        **(several if summary.evaluations > 1 else {}),
        "test accuracy where validation was best": summary.at_best_validation,
        "unlabeled images whose pseudo-label counted when last seen": summary.coverage,
        "right among those": summary.precision,
        "predicted alike by teacher and student": summary.agreement,
        "training time spent waiting for images": summary.data_wait,
    }
    rows = [(name, f"{100 * value:.2f} %") for name, value in shares.items() if value is not None]
    return [*rows, ("seconds", f"{summary.seconds:.1f}")]


def split_text(split: Split, num_classes: int) -> str:
    """Sizes and check sum of a split in a sentence."""
    return (
        f"{len(split.labeled)} labeled images of {num_classes} classes, {len(split.unlabeled)} unlabeled, "
        f"{len(split.validation)} held out; split seed {split.seed}, SHA-256 {split.sha256}."
    )
