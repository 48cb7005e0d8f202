"""Figures as files."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ssl_mix.reports.curves import curve
from ssl_mix.runs.folder import Record


def plot_comparison(runs: Mapping[str, Sequence[Sequence[Record]]]) -> Figure:
    """Test accuracy of several methods over the steps: mean over seeds, with every seed as a thin line."""
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axes = figure.add_subplot()
    for method, seeds in runs.items():
        curves = [tuple(zip(*curve(records, "test_accuracy"), strict=True)) for records in seeds]
        means = [statistics.fmean(values) for values in zip(*(values for _, values in curves), strict=True)]
        marker = "o" if len(means) == 1 else None  # one point is no line
        (line,) = axes.plot(curves[0][0], means, marker=marker, linewidth=2, label=method)
        for steps, values in curves if len(curves) > 1 else ():
            axes.plot(steps, values, marker=marker, linewidth=0.6, alpha=0.5, color=line.get_color())
    axes.set_title("test accuracy")
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def save_png(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, format="png", dpi=120)
