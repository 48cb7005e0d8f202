"""Suites of measurements on a trained run: ``ssl-mix evaluate RUN --suite NAME,NAME``."""

from ssl_mix.suites import accuracy, pseudo_labels
from ssl_mix.suites.suite import DEFAULTS, Scene, Suite, SuiteOptions

SUITES = {
    "accuracy": Suite("accuracy in all and by class", accuracy.measure, accuracy.rows, accuracy.draw),
    "pseudo-labels": Suite(
        "coverage, precision and class bias of pseudo-labels",
        pseudo_labels.measure,
        pseudo_labels.rows,
        pseudo_labels.draw,
    ),
}

__all__ = ["DEFAULTS", "SUITES", "Scene", "Suite", "SuiteOptions"]
