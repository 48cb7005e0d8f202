"""What a run takes its unlabeled images for: how many count, how many are right, and confirmation bias."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ssl_mix.errors import UserError, counts_of
from ssl_mix.runs.pseudo_labels import pseudo_label_numbers
from ssl_mix.suites.figures import new_figure
from ssl_mix.suites.suite import Scene

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 40  # classes whose names are written below their bars


def measure(scene: Scene) -> dict[str, Any]:
    """Coverage, precision, confusion and class bias; see
    :func:`ssl_mix.runs.pseudo_labels.pseudo_label_numbers`.

    Raises:
        ValueError: the run has no pseudo-labels.
    """
    trained = scene.answered.trained
    if not trained.run.algorithm.unlabeled_views:
        name = type(trained.run.algorithm).__name__
        raise UserError(f"{trained.folder} has no pseudo-labels: {name} makes none")
    return pseudo_label_numbers(trained.folder, trained.state["bank"], trained.classes)


def rows(numbers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The numbers in words."""
    images, counted, bias = numbers["images"], numbers["counted"], numbers["bias"]
    found = [
        (
            "coverage: pseudo-labels that count",
            f"{100 * numbers['coverage']:.1f} % of {counts_of(images, 'unlabeled image')}",
        ),
        (
            "precision: right among those whose truth is known",
            "not known: none whose true class is known counts",
        ),
        ("largest class above its share of the labels", "no pseudo-label counts"),
    ]
    if numbers["precision"] is not None:
        found[1] = (
            found[1][0],
            f"{100 * numbers['precision']:.1f} % of {counts_of(numbers['judged'], 'pseudo-label')}",
        )
    if bias is not None:
        labels = f"{100 * bias['prior']:.1f} % of labels"
        shares = f"{bias['largest']}: {100 * bias['share']:.1f} % of {counted}, {labels}"
        found[2] = (found[2][0], f"{100 * bias['excess']:+.1f} points ({shares})")
        found.append(
            ("largest share of a class over that of the labels", f"{bias['ratio']:.2f} times (1: no bias)")
        )
        found.append(("divergence of their classes from the labels", f"{bias['kl']:.3f} nats (0: no bias)"))
    return found


def draw(numbers: Mapping[str, Any]) -> "Figure | None":
    """Shares of the classes against those of the labels, and the bias over the run."""
    if not numbers["counted"]:
        return None
    figure = new_figure(10, 3.6)
    left, right = figure.subplots(1, 2)
    classes, places = numbers["classes"], range(len(numbers["classes"]))
    for name, label, mark in (("labeled", "labels", "k_"), ("known", "true classes", "rx")):
        total = sum(one[name] for one in classes)
        if total:
            left.plot(places, [100 * one[name] / total for one in classes], mark, label=label, zorder=3)
    left.bar(places, [100 * one["counted"] / numbers["counted"] for one in classes], label="pseudo-labels")
    if len(classes) <= MOST:
        left.set_xticks(places, [one["name"][:14] for one in classes], rotation=90, fontsize=7)
    left.set_title(f"share of the classes in %, {counts_of(numbers['counted'], 'pseudo-label')}", fontsize=10)
    left.set_ylim(0, 1.35 * left.get_ylim()[1])  # room for the names
    left.legend(fontsize=8, loc="upper right")
    for name, label in (
        ("coverage", "coverage"),
        ("precision", "precision"),
        ("excess", "largest class above its labels"),
    ):
        points = [(m["step"], 100 * m[name]) for m in numbers["history"] if name in m]
        right.plot(
            *zip(*points, strict=True), marker="o" if len(points) < 2 else None, label=label
        ) if points else None
    right.set_title("over the run, in %", fontsize=10)
    right.set_xlabel("step")
    right.set_ylim(0, 140)
    right.legend(fontsize=8, loc="upper right")
    return figure
