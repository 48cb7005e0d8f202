"""Suites of measurements on a trained run: ``ssl-mix evaluate RUN --suite NAME,NAME``."""

from ssl_mix.suites import accuracy
from ssl_mix.suites.suite import DEFAULTS, Scene, Suite, SuiteOptions

SUITES = {
    "accuracy": Suite("accuracy in all and by class", accuracy.measure, accuracy.rows, accuracy.draw),
}

__all__ = ["DEFAULTS", "SUITES", "Scene", "Suite", "SuiteOptions"]
