"""The table of the memory of published recipes: lines of ``scripts/recipe_memory.py``."""

from collections.abc import Sequence
from typing import Any

Line = dict[str, Any]
Table = tuple[Sequence[str], list[list[str]]]
HEADER = ("recipe", "images a step", "pixels", "estimate, GiB", "kept for the gradient, GiB", "weights, GiB")


def of_memory(lines: Sequence[Line]) -> Table:
    """A row for each recipe, of its last line; those of one network and batch but other epochs once."""
    last = {line["recipe"]: line for line in lines}
    rows = [
        [f"`{name}`", str(line["batch"]), str(line["pixels"])]
        + [f"{line[key]:.1f}" for key in ("at_least", "counted", "weights")]
        for name, line in last.items()
        if not name.endswith("-300")
    ]
    return HEADER, rows
