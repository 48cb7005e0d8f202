"""What a run's records say in a few numbers."""

import statistics
from dataclasses import dataclass

from ssl_mix.errors import counts_of
from ssl_mix.runs.folder import Record


@dataclass(frozen=True)
class Summary:
    """The result of a run.

    Attributes:
        evaluations: how often the test part was scored.
        probe: test accuracy of the linear probe on frozen features, of a run from weights.
        start: that of the start, where it is another one.
        last: test accuracy of the last evaluation.
        median10: median of the last ten evaluations, or of all where there are fewer.
        median20: likewise of the last twenty.
        best: largest test accuracy; picked on the test part, so no fair estimate.
        at_best_validation: test accuracy where the held-out part was best, if one was held out.
        coverage: share of unlabeled images whose pseudo-label passes at the end.
        precision: share of right ones among those, where the truth is known.
        agreement: share of unlabeled images that teacher and student take for the same class at the end.
        data_wait: share of the training time spent waiting for images.
        seconds: training and evaluation; before them the features of a run that trains a head alone, and the
            search of ``auto``.
    """

    evaluations: int
    probe: float | None
    start: float | None
    last: float | None
    median10: float | None
    median20: float | None
    best: float | None
    at_best_validation: float | None
    coverage: float | None
    precision: float | None
    agreement: float | None
    data_wait: float | None
    seconds: float


def summarize(records: list[Record]) -> Summary:
    """The summary of all records of a run."""
    tested = [record for record in records if "test_accuracy" in record]
    scores = [record["test_accuracy"] for record in tested]
    waits = [record["data_wait"] for record in records if "data_wait" in record]
    final = records[-1] if records else {}
    return Summary(
        evaluations=len(scores),
        probe=tested[-1].get("probe_accuracy") if tested else None,
        start=tested[-1].get("start_accuracy") if tested else None,
        last=scores[-1] if scores else None,
        median10=statistics.median(scores[-10:]) if scores else None,
        median20=statistics.median(scores[-20:]) if scores else None,
        best=max(scores, default=None),
        at_best_validation=_at_best_validation(records),
        coverage=final.get("bank_coverage"),
        precision=final.get("bank_precision"),
        agreement=final.get("bank_agreement"),
        data_wait=statistics.mean(waits) if waits else None,
        seconds=final.get("seconds", 0.0),
    )


def _at_best_validation(records: list[Record]) -> float | None:
    """Test accuracy of the best weights on the held-out part: measured at the end, or on the way in a run
    that is not over."""
    if records and "test_accuracy_best" in records[-1]:
        return records[-1]["test_accuracy_best"]
    both = [record for record in records if {"test_accuracy", "validation_accuracy"} <= record.keys()]
    return max(both, key=lambda record: record["validation_accuracy"])["test_accuracy"] if both else None


def summary_rows(summary: Summary, test_images: int = 0) -> list[tuple[str, str]]:
    """The summary as (what, value) rows; what is not known is left out.

    Args:
        summary: of a run.
        test_images: how many there are, told beside the accuracies on them where it is given.
    """
    many = summary.evaluations > 10
    several = {
        "test accuracy, median of the last 10 evaluations": summary.median10,
        **({"test accuracy, median of the last 20 evaluations": summary.median20} if many else {}),
        "test accuracy, best (picked on the test part: not a fair estimate)": summary.best,
    }
    shares = {
        "test accuracy, linear probe on frozen features (before training)": summary.probe,
        "test accuracy, the head that it starts from (before training)": summary.start,
        "test accuracy, last": summary.last,
        **(several if summary.evaluations > 1 else {}),
        "test accuracy where validation was best": summary.at_best_validation,
        "unlabeled images whose pseudo-label counted when last seen": summary.coverage,
        "right among those": summary.precision,
        "predicted alike by teacher and student": summary.agreement,
        "training time spent waiting for images": summary.data_wait,
    }
    of = {
        name: f" of {counts_of(test_images, 'image')}"
        for name in shares
        if test_images and name.startswith("test")
    }
    known = {name: value for name, value in shares.items() if value is not None}
    rows = [(name, f"{100 * value:.2f} %{of.get(name, '')}") for name, value in known.items()]
    return [*rows, ("seconds", f"{summary.seconds:.1f}")]
