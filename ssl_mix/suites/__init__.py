"""Suites of measurements on a trained run: ``ssl-mix evaluate RUN --suite NAME,NAME``."""

from ssl_mix.suites import (
    accuracy,
    attention,
    calibration,
    corruption,
    mixed,
    occlusion,
    ood,
    pseudo_labels,
    shifts,
)
from ssl_mix.suites.suite import DEFAULTS, Scene, Suite, SuiteOptions

ABOUT = {
    accuracy: "accuracy in all and by class",
    calibration: "whether it is right as often as it is sure, and a temperature that makes it so",
    ood: "whether it knows images of no class",
    corruption: "accuracy on corrupted images",
    shifts: "accuracy on published variants of CIFAR",
    occlusion: "accuracy without patches, and with patches in another order",
    attention: "whether a vision transformer looks at the object",
    mixed: "what it makes of mixed images",
    pseudo_labels: "coverage, precision and class bias of pseudo-labels",
}
SUITES = {
    suite.__name__.rpartition(".")[2].replace("_", "-"): Suite(about, suite.measure, suite.rows, suite.draw)
    for suite, about in ABOUT.items()
}

__all__ = ["DEFAULTS", "SUITES", "Scene", "Suite", "SuiteOptions"]
