"""How much of the accuracy is left when images are corrupted."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from ssl_mix.evaluation import CORRUPTIONS, corrupt, corruption_errors
from ssl_mix.evaluation.corruptions import SEVERITIES
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import images, percent


def measure(scene: Scene) -> dict[str, Any]:
    """The share of wrong answers by kind and severity, beside that of the same images as they are."""
    rows = scene.sample()
    cells = [(kind, severity) for kind in CORRUPTIONS for severity in SEVERITIES]
    generators = {cell: torch.Generator().manual_seed(scene.options.suite_seed) for cell in cells}
    right, clean, done = dict.fromkeys(cells, 0), 0, 0
    for batch, labels in scene.batches(rows):
        clean += scene.right(batch, labels)
        for cell, generator in generators.items():
            right[cell] += scene.right(corrupt(batch, *cell, generator), labels)
            done += len(batch)
            scene.tell("corrupting images", done, len(rows) * len(cells))
    errors = {
        kind: [1 - right[kind, severity] / len(rows) for severity in SEVERITIES] for kind in CORRUPTIONS
    }
    return {
        "images": len(rows),
        "test_images": len(scene.answered.labels),
        "clean_error": 1 - clean / len(rows),
        "errors": errors,
        "mean_corruption_error": float(corruption_errors(torch.tensor(list(errors.values()))).mean()),
    }


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    count = f"{images(numbers['images'])} of {numbers['test_images']}"
    found = [
        ("error of the images as they are", f"{percent(numbers['clean_error'])} of {count}"),
        (
            "mean corruption error",
            f"{percent(numbers['mean_corruption_error'])} over all kinds and severities",
        ),
    ]
    for kind, errors in numbers["errors"].items():
        said = ", ".join(f"{100 * error:.1f}" for error in errors)
        found.append((f"{kind.replace('_', ' ')}, severity 1 to 5", f"{said} %"))
    return found


def draw(numbers: dict[str, Any]) -> Figure | None:
    """Accuracy by kind and severity."""
    errors = numbers["errors"]
    shares = 1 - np.array([[numbers["clean_error"], *row] for row in errors.values()])
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_yticks(range(len(errors)), [kind.replace("_", " ") for kind in errors], fontsize="small")
    axes.set_xticks(range(len(SEVERITIES) + 1), ["none", *map(str, SEVERITIES)])
    axes.set_xlabel("severity")
    axes.set_title(f"accuracy of {images(numbers['images'])}, in %")
    for (row, column), share in np.ndenumerate(shares):
        color = "white" if share > 0.5 else "black"
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=color, fontsize="small")
    return figure
