"""Suites of measurements on a trained run: ``ssl-mix evaluate RUN --suite NAME,NAME``."""

from ssl_mix.suites import accuracy, attention, calibration, corruption, mixed, occlusion, ood
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
    "corruption": Suite(
        "how often it is wrong on corrupted images", corruption.measure, corruption.rows, corruption.draw
    ),
    "occlusion": Suite(
        "whether it knows images without some patches, or with their patches in another order",
        occlusion.measure,
        occlusion.rows,
        occlusion.draw,
    ),
    "attention": Suite(
        "whether a vision transformer looks at the objects", attention.measure, attention.rows, attention.draw
    ),
    "mixed": Suite("what it makes of mixed images", mixed.measure, mixed.rows, mixed.draw),
}

__all__ = ["DEFAULTS", "SUITES", "Scene", "Suite", "SuiteOptions"]
