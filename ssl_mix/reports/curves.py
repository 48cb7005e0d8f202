"""Curves of a run's records as data for a page."""

from collections.abc import Iterable, Mapping, Sequence

from ssl_mix.reports.blocks import Block, Chart, Fold, Point, Series, Table
from ssl_mix.runs.folder import Record
from ssl_mix.runs.pseudo_labels import COUNTS

MOST = 500  # points of a curve
PERCENT = "%"
ACCURACIES = {
    "test_accuracy": "test images",
    "test_mean_class_accuracy": "test images, mean over classes",
    "test_macro_f1": "test images, macro F1",
    "validation_accuracy": "held-out images",
    "test_accuracy_best": "test images, weights that were best on held-out ones",
}
LEVELS = {
    "probe_accuracy": "linear probe on test images",
    "start_accuracy": "start, on test images",
    "probe_validation_accuracy": "linear probe on held-out images",
    "start_validation_accuracy": "start, on held-out images",
}
PSEUDO = {
    "bank_coverage": "coverage: unlabeled images whose pseudo-label counts",
    "bank_precision": "precision: right among those",
    "bank_agreement": "teacher and student agree",
    "coverage": "coverage in the batches",
    "pseudo_labels_changed": "changed since last seen",
}
RATES = {"lr": "learning rate", "images_per_second": "images per second", "seconds": "seconds so far"}
QUIET = ("data_wait", "seconds")  # in the summary


def curve(records: Sequence[Record], name: str, factor: float = 1.0) -> list[Point]:
    """Steps and values of one metric where it was recorded, at most 500 of them, the last included."""
    points = [(record["step"], factor * record[name]) for record in records if name in record]
    stride = -(-len(points) // MOST)
    return points[::-1][::stride][::-1] if stride > 1 else points


def charts(records: Sequence[Record], sizes: Mapping[str, str] | None = None) -> list[Block]:
    """Curves of accuracies, loss terms, pseudo-labels and what else was recorded; a metric that was recorded
    once is a row of a table, for one point is no curve.

    Args:
        records: of a run.
        sizes: of how many images the values of a panel are, by its title.
    """
    known = {name for record in records for name in record} - {"step", *QUIET, *LEVELS}
    known -= {name for name in known if name.startswith(COUNTS)}
    losses = sorted(name for name in known if name == "loss" or name.startswith("loss/"))
    panels = [
        ("Accuracy", PERCENT, ACCURACIES),
        ("Loss and its terms", "", {name: loss_name(name) for name in losses}),
        ("Pseudo-labels", PERCENT, PSEUDO),
    ]
    named = {name for _, _, names in panels for name in names}
    others = {name: RATES.get(name, name.replace("_", " ")) for name in sorted(known - named)}
    levels = [(LEVELS[name], 100 * records[-1][name]) for name in LEVELS if records and name in records[-1]]
    drawn: list[Block] = []
    more: list[Block] = []
    once: list[tuple[str, str, str, str]] = []
    for title, unit, names in [*panels, *(("", "", {name: label}) for name, label in others.items())]:
        factor = 100.0 if unit == PERCENT else 1.0
        told = f"{title}, {size}" if (size := (sizes or {}).get(title)) else title
        points = {label: curve(records, name, factor) for name, label in names.items() if name in known}
        many = [Series(label, found) for label, found in points.items() if len(found) > 1]
        if many and title:
            drawn.append(Chart(told, many, unit, levels if title == "Accuracy" else ()))
        elif many:
            more.append(Chart(many[0].name, many))
        once += [(told, label, *_cells(found, unit)) for label, found in points.items() if len(found) == 1]
    if once:
        header = ("of", "recorded once", "value", "after step")
        drawn.append(Table(once, header, "One value is no curve."))
    return [*drawn, *([Fold("Speed, learning rate and whatever else was recorded", more)] if more else [])]


def loss_name(name: str) -> str:
    """``loss/unlabeled`` as the name of a curve."""
    return "all terms together" if name == "loss" else name.removeprefix("loss/").replace("_", " ")


def _cells(points: Iterable[Point], unit: str) -> tuple[str, str]:
    [(step, value)] = points
    return (f"{value:.2f} %" if unit == PERCENT else f"{value:.4g}"), f"{step:.0f}"
