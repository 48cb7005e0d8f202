"""How often the run is right."""

from typing import Any

from matplotlib.figure import Figure

from ssl_mix.suites.suite import Scene


def measure(scene: Scene) -> dict[str, Any]:
    """Accuracies in all, by class, and of the linear probe."""
    return scene.answered.evaluation().plain()


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    found = [
        ("accuracy", numbers["accuracy"]),
        ("mean accuracy of classes", numbers["mean_class_accuracy"]),
        ("macro F1", numbers["macro_f1"]),
        ("linear probe on the features before training", numbers["probe_accuracy"]),
    ]
    count = numbers["images"]
    return [(name, f"{100 * value:.2f} % of {count} images") for name, value in found if value is not None]


def draw(numbers: dict[str, Any]) -> Figure | None:
    """Nothing yet."""
    return None
