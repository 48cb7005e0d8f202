"""How often the run is right, how far that could be off, and what is easily had."""

from typing import TYPE_CHECKING, Any

import torch

from ssl_mix.errors import UserError, counts_of
from ssl_mix.evaluation import (
    bootstrap_intervals,
    geometric_mean_recall,
    shot_accuracies,
    top_k_accuracy,
)
from ssl_mix.evaluation.long_tail import shot_groups
from ssl_mix.runs.first_probe import first_probe_accuracy
from ssl_mix.runs.pseudo_labels import labeled_counts
from ssl_mix.suites.figures import new_figure
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import images, percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMED, COUNTED = 60, 15  # classes whose names, and whose counts of images, can be read in a picture
LONGEST = 30  # signs of a name there
MEASURES = {
    "accuracy": "accuracy",
    "top_5_accuracy": "top-5 accuracy",
    "mean_class_accuracy": "mean accuracy of classes",
    "macro_f1": "macro F1",
}


def measure(scene: Scene) -> dict[str, Any]:
    """Accuracies in all and by class with intervals, and those of the commonest class and a linear probe."""
    answered = scene.answered
    found, logits, labels = answered.evaluation(), answered.logits, answered.labels
    numbers = found.plain()
    if logits.shape[1] > 5:
        numbers["top_5_accuracy"] = top_k_accuracy(logits, labels, 5)
    numbers["intervals"] = bootstrap_intervals(logits, labels, seed=scene.options.suite_seed)
    numbers["class_intervals"] = found.class_intervals()
    counts = labeled_counts(answered.trained.folder, len(answered.trained.classes))
    counts = counts if answered.columns is None else counts[answered.columns]
    if len({*counts.tolist()}) > 1:
        numbers["geometric_mean_recall"] = geometric_mean_recall(logits, labels)
        numbers["shots"] = shot_accuracies(logits, labels, counts)
        groups = {name: counts[group].tolist() for name, group in shot_groups(counts).items()}
        numbers["shot_labels"] = {name: [min(own), max(own), len(own)] for name, own in groups.items() if own}
    commonest = int(labels.bincount().argmax())
    numbers["majority_class"] = answered.classes[commonest]
    numbers["majority_accuracy"] = float((labels == commonest).double().mean())
    if numbers["probe_accuracy"] is None:
        try:
            numbers["probe_accuracy"] = first_probe_accuracy(answered, scene.progress)
        except (UserError, OSError) as error:
            numbers["no_probe"] = str(error)
    cells = found.confusion.nonzero()
    counts = found.confusion[cells[:, 0], cells[:, 1]]
    numbers["confusion"] = torch.cat((cells, counts[:, None]), dim=1).tolist()
    return numbers


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    count, own, probe = images(numbers["images"]), numbers["accuracy"], numbers["probe_accuracy"]
    found = []
    for name, what in MEASURES.items():
        if name in numbers:
            low, high = (percent(end) for end in numbers["intervals"][name])
            interval = f"95 % interval {low} to {high}"
            found.append((what, f"{percent(numbers[name])} of {count}, {interval}"))
    if "shots" in numbers:
        found.append(("geometric mean of recalls", f"{percent(numbers['geometric_mean_recall'])} of {count}"))
        for name, value in numbers["shots"].items():
            fewest, most, classes = numbers["shot_labels"][name]
            labeled = counts_of(most, "label")
            range_of = labeled if fewest == most else f"{fewest} to {labeled}"
            of = f"a mean over {counts_of(classes, 'class')} with {range_of} each"
            found.append((f"{name}-shot accuracy", f"{percent(value)}, {of}"))
    majority = f"{percent(numbers['majority_accuracy'])} of {count}"
    found.append((f"always {numbers['majority_class']}, the commonest class", majority))
    what = "linear probe on the features before training"
    if probe is None:
        return [*found, (what, f"not known: {numbers['no_probe']}")]
    lead = f"{abs(100 * (own - probe)):.2f} points {'below' if own < probe else 'above'} it"
    return [*found, (what, f"{percent(probe)} of {count}: the run is {lead}")]


def draw(numbers: dict[str, Any]) -> "Figure | None":
    """The confusion matrix: a row for each true class, the shares of it that are taken for each class."""
    names = list(numbers["per_class"])
    table = torch.zeros(len(names), len(names))
    for true, predicted, count in numbers["confusion"]:
        table[true, predicted] = count
    size = 3.4 + (0.14 * len(names) if len(names) <= NAMED else 3.2)
    figure = new_figure(size + 0.8, size)
    axes = figure.add_subplot()
    shares = table / table.sum(dim=1, keepdim=True).clamp(min=1)
    shown = axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
    figure.colorbar(shown, ax=axes, label="share of the true class", shrink=0.8)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"{percent(numbers['accuracy'])} of {images(numbers['images'])}")
    if len(names) <= NAMED:
        short = [name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..." for name in names]
        axes.set_xticks(range(len(names)), short, rotation=90, fontsize="small")
        axes.set_yticks(range(len(names)), short, fontsize="small")
    if len(names) <= COUNTED:
        for true, predicted, count in numbers["confusion"]:
            color = "white" if shares[true, predicted] > 0.5 else "black"
            axes.text(predicted, true, str(count), ha="center", va="center", color=color, fontsize="x-small")
    return figure
