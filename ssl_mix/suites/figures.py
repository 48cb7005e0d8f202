"""Figures, by a library that is imported when the first is drawn."""

from typing import TYPE_CHECKING

from ssl_mix.imported import imported

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure whose parts keep clear of each other.

    matplotlib takes half a second to import, and most commands draw nothing.

    Args:
        width: in inches.
        height: in inches.
    """
    figure: Figure = imported("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
    return figure
