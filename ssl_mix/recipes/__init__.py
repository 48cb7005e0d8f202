"""Runs as functions: settings that belong together, and the one way from words to a run."""

from collections.abc import Callable

from ssl_mix.recipes.general import paper, small
from ssl_mix.recipes.recipe import Recipe, Request
from ssl_mix.recipes.transfer import recommended

__all__ = ["RECIPES", "Recipe", "Request"]

RECIPES: dict[str, Callable[[Request], Recipe]] = {
    "small": small,
    "paper": paper,
    "recommended": recommended,
}
