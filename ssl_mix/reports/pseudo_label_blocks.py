"""What a run's pseudo-labels are worth, for a page."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssl_mix.errors import counts_of, verb_for
from ssl_mix.reports.blocks import Block, Chart, Fold, Number, Series, Table
from ssl_mix.reports.test_part import confusion_of, percent
from ssl_mix.suites.pseudo_labels import rows


def pseudo_label_blocks(numbers: Mapping[str, Any], classes: Sequence[str]) -> list[Block]:
    """Coverage, precision, bias over the run and by class, and what is confused.

    Args:
        numbers: of :func:`ssl_mix.runs.pseudo_labels.pseudo_label_numbers`.
        classes: names.
    """
    points = [(moment["step"], 100 * moment["excess"]) for moment in numbers["history"] if "excess" in moment]
    found: list[Block] = [Table(rows(numbers))]
    if len(points) > 1:
        curve = Series("largest share of a class above its share of the labels", points)
        found.append(Chart("Confirmation bias over the run, in points", [curve]))
    counted, labeled = max(1, numbers["counted"]), sum(one["labeled"] for one in numbers["classes"])
    table = []
    for one in numbers["classes"]:
        share, prior = one["counted"] / counted, one["labeled"] / max(1, labeled)
        cells = [Number(str(one["counted"]), one["counted"]), Number(percent(share), share)]
        excess = Number(f"{100 * (share - prior):+.1f}", share - prior)
        table.append(
            (
                one["name"],
                *cells,
                Number(percent(prior), prior),
                excess,
                Number(str(one["known"] or "-"), one["known"]),
            )
        )
    header = (
        "class",
        "pseudo-labels that count",
        "share",
        "share of the labels",
        "above it, points",
        "true images",
    )
    found.append(
        Table(
            table,
            header,
            f"{counts_of(numbers['counted'], 'pseudo-label')} that "
            f"{verb_for(numbers['counted'], 'counts', 'count')}",
            sortable=True,
        )
    )
    if numbers["judged"]:
        found.append(Fold("Which classes pseudo-labels confuse", confusion_of(numbers["confusion"], classes)))
    return found
