"""The table of a comparison: for a page, the terminal, CSV, LaTeX and Markdown."""

import csv
import io
import re
import statistics
from collections.abc import Callable, Sequence

from ssl_mix.errors import counts_of
from ssl_mix.evaluation import Difference
from ssl_mix.reports.comparison import Compared, Comparison, mean_and_deviation

Measure = Callable[[Compared], float | None]


def _share(name: str) -> Measure:
    """A share of the last record, in percent."""

    def look(run: Compared) -> float | None:
        value = run.records[-1].get(name)
        return None if value is None else 100 * value

    return look


def _gain(run: Compared) -> float | None:
    if run.summary.last is None or run.summary.probe is None:
        return None
    return 100 * (run.summary.last - run.summary.probe)


ACCURACY, BY_CLASS = "test accuracy %", "mean of classes %"
ROUNDING = 0.05  # points
MEASURES: dict[str, Measure] = {
    ACCURACY: lambda run: None if run.summary.last is None else 100 * run.summary.last,
    BY_CLASS: _share("test_mean_class_accuracy"),
    "linear probe %": _share("probe_accuracy"),
    "to the probe, points": _gain,
    "coverage %": _share("bank_coverage"),
    "precision %": _share("bank_precision"),
    "seconds": lambda run: run.summary.seconds,
}
SIGNED = ("to the probe, points",)
Rows = list[list[str]]


def cells(comparison: Comparison) -> tuple[list[str], Rows]:
    """Header and rows to be read: mean +- deviation over n runs, and differences to the first group in points
    with their 95 % intervals. Columns in which nothing is known are left out."""
    first = comparison.groups[0]
    measures = _known(comparison)
    against = len(comparison.groups) > 1
    header = ["runs", "n", *measures]
    if against:
        header.insert(3, "to the first, points")
    rows = []
    for group in comparison.groups:
        found = [
            mean_and_deviation(group.values(measure), "+.1f" if name in SIGNED else ".1f")
            for name, measure in measures.items()
        ]
        row = [group.name, str(len(group.runs)), *found]
        if against:
            row.insert(3, "" if group is first else difference_text(comparison.difference(group, first)))
        rows.append(row)
    return header, rows


def _known(comparison: Comparison) -> dict[str, Measure]:
    """The measures in which something is known; the mean of classes only where it is another than the
    accuracy of all images."""
    known = {n: m for n, m in MEASURES.items() if any(group.values(m) for group in comparison.groups)}
    whole, by_class = MEASURES[ACCURACY], MEASURES[BY_CLASS]
    pairs = [(whole(run), by_class(run)) for run in comparison.runs]
    if all(a is None or b is None or abs(a - b) < ROUNDING for a, b in pairs):
        known.pop(BY_CLASS, None)
    return {ACCURACY: whole, **known}


def tested_words(comparison: Comparison) -> str:
    """Of how many test images accuracies are; nothing where there are none."""
    counts = {run.config["dataset"].get("test_images", 0) for run in comparison.runs} - {0}
    return f"accuracies are of {' or '.join(map(str, sorted(counts)))} test images" if counts else ""


def difference_text(found: Difference | None) -> str:
    """A difference in points with its interval and the number of pairs."""
    if found is None:
        return "no pairs"
    pairs = counts_of(found.pairs, "pair")
    if found.low is None or found.high is None:
        return f"{100 * found.mean:+.1f} ({pairs})"
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f}, {pairs})"


def as_csv(comparison: Comparison) -> str:
    """The numbers, unrounded: for each measure mean and sample deviation; the difference to the first group
    with its interval."""
    first, measures = comparison.groups[0], _known(comparison)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    ends = ("to the first, points", "95 % low", "95 % high", "pairs")
    names = [f"{name}, {kind}" for name in measures for kind in ("mean", "deviation")]
    writer.writerow(["runs", "n", *names, *ends])
    for group in comparison.groups:
        numbers = [cell for measure in measures.values() for cell in _mean_cells(group.values(measure))]
        found = None if group is first else comparison.difference(group, first)
        writer.writerow([group.name, len(group.runs), *numbers, *_difference_cells(found)])
    return text.getvalue()


def _mean_cells(values: Sequence[float]) -> tuple[object, object]:
    if not values:
        return "", ""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else ""


def _difference_cells(found: Difference | None) -> tuple[object, ...]:
    if found is None:
        return "", "", "", ""
    ends = ["" if end is None else 100 * end for end in (found.low, found.high)]
    return 100 * found.mean, *ends, found.pairs


LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}


def as_latex(comparison: Comparison) -> str:
    """A ``tabular`` with the rules of ``booktabs``."""
    header, rows = cells(comparison)
    lines = [" & ".join(map(_latex, row)) + r" \\" for row in (header, *rows)]
    columns = "l" + "r" * (len(header) - 1)
    return "\n".join(
        [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
        + [r"\end{tabular}", ""]
    )


def _latex(cell: str) -> str:
    text = "".join(LATEX.get(sign, sign) for sign in cell)
    text = re.sub(r"(?<![\w-])-(?=\d)", "$-$", text.replace("+-", r"$\pm$"))  # a hyphen is no minus
    return re.sub(r"--(?=\w)", "-{}-", text)


def as_markdown(comparison: Comparison) -> str:
    """A table of GitHub's Markdown."""
    header, rows = cells(comparison)
    ruler = ["---", *["---:"] * (len(header) - 1)]
    return "".join(f"| {' | '.join(map(_markdown, row))} |\n" for row in (header, ruler, *rows))


def _markdown(cell: str) -> str:
    return re.sub(r"([\\|<*_`])", r"\\\1", cell)
