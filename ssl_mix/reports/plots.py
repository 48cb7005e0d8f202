"""Curves of training runs."""

import io
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssl_mix.runs.folder import Record

BASELINES = {
    "probe_accuracy": "black",
    "start_accuracy": "gray",
    "probe_validation_accuracy": "black",
    "start_validation_accuracy": "gray",
}


def curve(records: Sequence[Record], name: str) -> tuple[list[float], list[float]]:
    """Steps and values of one metric, where it was recorded."""
    points = [(record["step"], record[name]) for record in records if name in record]
    return [step for step, _ in points], [value for _, value in points]


def plot_metrics(records: Sequence[Record]) -> Figure:
    """Loss terms, accuracies, and pseudo-labels of one run, side by side; panels without data are left out.
    Accuracies without training are dashed."""
    terms = sorted({name for record in records for name in record if name.startswith("loss")})
    panels = {
        "loss": terms,
        "accuracy": ["test_accuracy", "validation_accuracy", *BASELINES],
        "pseudo-labels": [
            "coverage",
            "pseudo_labels_changed",
            "bank_coverage",
            "bank_precision",
            "bank_agreement",
        ],
    }
    known = {name for record in records for name in record}
    drawn = {title: [n for n in names if n in known] for title, names in panels.items() if known & set(names)}
    figure = Figure(figsize=(4.2 * max(1, len(drawn)), 3.2), layout="constrained")
    for position, (title, names) in enumerate(drawn.items(), start=1):
        axes = figure.add_subplot(1, len(drawn), position)
        for name in names:
            label = name.removeprefix("loss/").replace("_", " ")
            if name in BASELINES:
                value = curve(records, name)[1][-1]
                axes.axhline(value, label=label, linestyle="--", color=BASELINES[name], linewidth=1)
            else:
                axes.plot(*curve(records, name), label=label)
        _label(axes, title)
    return figure


def plot_comparison(runs: Mapping[str, Sequence[Sequence[Record]]]) -> Figure:
    """Test accuracy of several methods over the steps: mean over seeds, with every seed as a thin line."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    for method, seeds in runs.items():
        curves = [curve(records, "test_accuracy") for records in seeds]
        means = [statistics.fmean(values) for values in zip(*(values for _, values in curves), strict=True)]
        (line,) = axes.plot(curves[0][0], means, linewidth=2, label=method)
        for steps, values in curves if len(curves) > 1 else ():
            axes.plot(steps, values, linewidth=0.6, alpha=0.5, color=line.get_color())
    _label(axes, "test accuracy")
    return figure


def _label(axes: Axes, title: str) -> None:
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, format="png", dpi=120)


def to_svg(figure: Figure) -> str:
    """A figure as an ``<svg>`` element."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg")
    text = buffer.getvalue()
    return text[text.index("<svg") :]
