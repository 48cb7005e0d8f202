"""Suites of measurements on a trained run: ``ssl-mix evaluate RUN --suite NAME,NAME``."""

from ssl_mix.suites import accuracy, calibration, ood
from ssl_mix.suites.suite import DEFAULTS, Scene, Suite, SuiteOptions

SUITES = {
    "accuracy": Suite("accuracy in all and by class", accuracy.measure, accuracy.rows, accuracy.draw),
    "calibration": Suite(
        "whether it is right as often as it is sure, and a temperature that makes it so",
        calibration.measure,
        calibration.rows,
        calibration.draw,
    ),
    "ood": Suite("whether it knows images of no class", ood.measure, ood.rows, ood.draw),
}

__all__ = ["DEFAULTS", "SUITES", "Scene", "Suite", "SuiteOptions"]
