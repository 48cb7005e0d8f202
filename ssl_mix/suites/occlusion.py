"""How much of the accuracy is left when patches of the images are black or in another order."""

from collections import Counter
from typing import Any, get_args

import torch
from matplotlib.figure import Figure

from ssl_mix.evaluation import patch_drop, patch_shuffle
from ssl_mix.evaluation.patches import DropOrder
from ssl_mix.mixers.saliency import fine_grained_saliency
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import images, percent

GRIDS, PIECES = (4, 14), (1, 2, 4, 8)  # patches in a row to drop, and to shuffle
SHARES = tuple(tenth / 10 for tenth in range(10))
TITLES = {
    "random": "random",
    "salient": "salient first",
    "nonsalient": "background first",
    "center": "center",
}


def measure(scene: Scene) -> dict[str, Any]:
    """Accuracy by grid, order and share of dropped patches, and by grid of shuffled ones."""
    rows, done = scene.sample(), 0
    side = scene.answered.trained.shape[1]
    grids, pieces = ([grid for grid in known if 2 * grid <= side] for known in (GRIDS, PIECES))
    draws = torch.Generator().manual_seed(scene.options.suite_seed)
    right: Counter[tuple[object, ...]] = Counter()
    for batch, labels in scene.batches(rows):
        saliency = fine_grained_saliency(batch)
        for grid in grids:
            for order in get_args(DropOrder):
                for share in SHARES:
                    seen = patch_drop(batch, share, grid, order=order, saliency=saliency, generator=draws)
                    right[grid, order, share] += scene.right(seen, labels)
        for grid in pieces:
            right["shuffled", grid] += scene.right(patch_shuffle(batch, grid, draws), labels)
        done += len(batch)
        scene.tell("dropping patches", done, len(rows))
    return {
        "images": len(rows),
        "test_images": len(scene.answered.labels),
        "shares": list(SHARES),
        "dropped": {
            str(grid): {
                order: [right[grid, order, share] / len(rows) for share in SHARES]
                for order in get_args(DropOrder)
            }
            for grid in grids
        },
        "shuffled": {str(grid): right["shuffled", grid] / len(rows) for grid in pieces},
    }


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words, of the dropped shares every second."""
    count = f"{images(numbers['images'])} of {numbers['test_images']}"
    found = [("accuracy", f"of {count}")]
    for grid, orders in numbers["dropped"].items():
        for order, shares in orders.items():
            said = ", ".join(f"{100 * value:.1f}" for value in shares[::2])
            found.append((f"{grid} x {grid} patches, {TITLES[order]}, 0 to 80 % black", f"{said} %"))
    for grid, value in numbers["shuffled"].items():
        found.append((f"{grid} x {grid} pieces shuffled", percent(value)))
    return found


def draw(numbers: dict[str, Any]) -> Figure | None:
    """Accuracy over the share of dropped patches, and over the number of shuffled ones."""
    grids = numbers["dropped"]
    figure = Figure(figsize=(3.4 * (len(grids) + 1), 3), layout="constrained")
    panels = figure.subplots(1, len(grids) + 1, sharey=True, squeeze=False)[0]
    for axes, (grid, orders) in zip(panels, grids.items(), strict=False):
        for order, values in orders.items():
            axes.plot(numbers["shares"], values, label=TITLES[order], marker=".")
        axes.set_title(f"{grid} x {grid} patches", fontsize="medium")
        axes.set_xlabel("share of patches dropped")
    panels[0].legend(fontsize="x-small")
    panels[0].set_ylabel(f"accuracy of {images(numbers['images'])}")
    panels[0].set_ylim(0, 1)
    panels[-1].plot(list(numbers["shuffled"]), list(numbers["shuffled"].values()), marker=".")
    panels[-1].set_title("pieces shuffled", fontsize="medium")
    panels[-1].set_xlabel("pieces in a row")
    for axes in panels:
        axes.grid(alpha=0.3)
    return figure
