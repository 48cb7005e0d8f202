"""Whether the run knows images of which patches are missing, or in another order."""

from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ssl_mix.errors import counts_of
from ssl_mix.evaluation import patch_drop, patch_shuffle
from ssl_mix.evaluation.patches import DropOrder
from ssl_mix.suites.changed import Change, chance_of_sample, right_after, sample_words
from ssl_mix.suites.figures import new_figure
from ssl_mix.suites.suite import Scene
from ssl_mix.suites.words import percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORDERS: dict[DropOrder, str] = {
    "random": "at random",
    "salient": "the most salient first (foreground)",
    "nonsalient": "the least salient first (background)",
    "center": "from the center outwards",
}
SHARES = tuple(tenth / 10 for tenth in range(11))
GRIDS = (1, 2, 4, 8, 14)
COARSER = (2, 4, 8)  # of which the two largest below the grid are dropped at random, too
LARGE = 112  # pixels a side from which patches are those of 14 x 14, as in the papers


def measure(scene: Scene) -> dict[str, Any]:
    """Accuracy by order, grid and share of dropped patches, and by the grid whose pieces are shuffled."""
    side = min(scene.answered.trained.shape[1:])
    grid = 14 if side >= LARGE else min(8, side)
    grids = [pieces for pieces in GRIDS if side % pieces == 0]
    coarser = [pieces for pieces in COARSER if pieces < grid][-2:]
    changes: dict[tuple[str, float], Change] = {
        (order, share): partial(_dropped, share=share, grid=grid, order=order)
        for order in ORDERS
        for share in SHARES
    }
    changes |= {
        (f"random in {pieces}", share): partial(_dropped, share=share, grid=pieces, order="random")
        for pieces in coarser
        for share in SHARES
    }
    changes |= {("shuffle", pieces): partial(_shuffled, grid=pieces) for pieces in grids}
    right = right_after(scene, changes, "dropping and shuffling patches")
    return {
        "images": len(scene.sample()),
        "of": len(scene.answered.labels),
        "chance": chance_of_sample(scene),
        "grid": grid,
        "shares": list(SHARES),
        "dropped": {order: [right[order, share] for share in SHARES] for order in ORDERS},
        "coarser": {pieces: [right[f"random in {pieces}", share] for share in SHARES] for pieces in coarser},
        "grids": grids,
        "shuffled": [right["shuffle", pieces] for pieces in grids],
    }


def _dropped(images: Tensor, draws: torch.Generator, *, share: float, grid: int, order: DropOrder) -> Tensor:
    return patch_drop(images, share, grid, order=order, generator=draws)


def _shuffled(images: Tensor, draws: torch.Generator, *, grid: int) -> Tensor:
    return patch_shuffle(images, grid, draws)


def rows(numbers: dict[str, Any]) -> list[tuple[str, str]]:
    """Every number in words."""
    found = [
        ("images", sample_words(numbers["images"], numbers["of"])),
        ("accuracy with nothing dropped", percent(numbers["dropped"]["random"][0])),
        ("share of the commonest class (chance)", percent(numbers["chance"])),
    ]
    for what, values in _dropped_by(numbers).items():
        by_share = dict(zip(numbers["shares"], values, strict=True))
        some = ", ".join(
            f"{percent(by_share[share], 1)} without {100 * share:.0f} %" for share in (0.3, 0.5, 0.7)
        )
        mean = percent(sum(values[:10]) / 10, 1)
        found.append((what, f"{some}; {mean} on average from 0 to 90 %"))
    shuffled = (
        f"{percent(value, 1)} in {grid} x {grid}"
        for grid, value in zip(numbers["grids"], numbers["shuffled"], strict=True)
    )
    return [*found, ("pieces in a random order", ", ".join(shuffled))]


def _dropped_by(numbers: dict[str, Any]) -> dict[str, list[float]]:
    """Accuracies by what was dropped, in words."""
    grid, coarser = numbers["grid"], numbers.get("coarser", {})
    found = {f"{grid} x {grid} patches dropped {words}": numbers["dropped"][o] for o, words in ORDERS.items()}
    return found | {f"{n} x {n} patches dropped at random": values for n, values in coarser.items()}


def draw(numbers: dict[str, Any]) -> "Figure | None":
    """Accuracy over the share of dropped patches, and over the number of shuffled pieces."""
    figure = new_figure(8.4, 3.2)
    dropped, shuffled = figure.subplots(1, 2, sharey=True)
    percents = [100 * share for share in numbers["shares"]]
    for order, words in ORDERS.items():
        dropped.plot(percents, _percents(numbers["dropped"][order]), marker=".", label=words)
    for pieces, values in numbers.get("coarser", {}).items():
        label = f"at random, of {pieces} x {pieces}"
        dropped.plot(percents, _percents(values), linestyle=":", label=label)
    dropped.set_xlabel(f"patches dropped in %, of {numbers['grid']} x {numbers['grid']} where not said")
    dropped.set_ylabel(f"accuracy in % ({counts_of(numbers['images'], 'image')})")
    places = range(len(numbers["grids"]))
    shuffled.plot(places, _percents(numbers["shuffled"]), marker=".", color="black", label="shuffled pieces")
    shuffled.set_xticks(list(places), [f"{grid} x {grid}" for grid in numbers["grids"]])
    shuffled.set_xlabel("pieces")
    for axes in (dropped, shuffled):
        axes.axhline(100 * numbers["chance"], color="gray", linestyle="--", linewidth=1, label="chance")
        axes.set_ylim(0, None)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small")
    return figure


def _percents(shares: list[float]) -> list[float]:
    return [100 * share for share in shares]
