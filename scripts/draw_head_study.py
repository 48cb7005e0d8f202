"""Draw docs/results/head-only.png: accuracy against labels a class, from the lines of ``head_study.py``.

python scripts/draw_head_study.py
"""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.head_tables import PLAIN, accuracy, found
from matplotlib.figure import Figure
from results_tables import read_lines
from scipy.stats import t

CURVES = {
    "fine-tuning the head": ("fine-tuning", "none"),
    "FixMatch": ("fixmatch", "none"),
    "FixMatch + DM/AS": ("fixmatch", "dm-as"),
}
STYLES = {
    "probe": "k-",
    "prototypes": "C7-",
    "fine-tuning the head": "C0:o",
    "FixMatch": "C1--s",
    "FixMatch + DM/AS": "C3-^",
}
COUNTS = (1, 2, 5, 10)


def main() -> None:
    """Draw and save."""
    lines = read_lines("head_study")
    names = [line["data"] for line in found(lines, phase="all labels")]
    figure = Figure(figsize=(4.4 * len(names), 3.4), layout="constrained")
    for position, name in enumerate(names, start=1):
        axes = figure.add_subplot(1, len(names), position)
        draw(axes, lines, name)
    figure.savefig(Path(__file__).parent.parent / "docs/results/head-only.png", dpi=90)


def draw(axes: Any, lines: Sequence[dict[str, Any]], data: str) -> None:
    """One data set."""
    curves: dict[str, dict[int, Sequence[float]]] = {}
    for count in COUNTS:
        for line in found(lines, phase="start", data=data, kind="balanced", labels=count):
            curves.setdefault("probe", {})[count] = line["probe"]
            curves.setdefault("prototypes", {})[count] = line["start prototypes"]
        for name, (algorithm, mixing) in CURVES.items():
            what = PLAIN | {"data": data, "labels": count, "algorithm": algorithm, "mixing": mixing}
            if (values := accuracy(lines, **what)) is not None:
                curves.setdefault(name, {})[count] = values
    for name, style in STYLES.items():
        if not (points := curves.get(name)):
            continue
        means = [100 * statistics.mean(values) for values in points.values()]
        axes.errorbar(
            list(points), means, [half(v) for v in points.values()], fmt=style, label=name, capsize=2
        )
    [whole] = found(lines, phase="all labels", data=data)
    axes.axhline(100 * whole["probe"], color="k", linestyle=":", label="probe of all labels")
    axes.set_xscale("log", base=2)
    axes.set_xticks(COUNTS, [str(count) for count in COUNTS])
    axes.set(title=data, xlabel="labels a class", ylabel="test accuracy, %")
    axes.legend(fontsize=8)


def half(values: Sequence[float]) -> float:
    """Half the 95 % interval of the mean, in points."""
    count = len(values)
    return float(100 * t.ppf(0.975, count - 1) * statistics.stdev(values) / math.sqrt(count))


if __name__ == "__main__":
    main()
