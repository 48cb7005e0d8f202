"""What a recipe is: settings that belong together."""

from typing import Any, NamedTuple

from ssl_mix.engine.config import TrainConfig
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions


class Asked(NamedTuple):
    """What the user has named beside the recipe.

    Attributes:
        data: the data set.
        algorithm: how to learn.
        image_size: side of what the network sees.
    """

    data: str | None = None
    algorithm: str | None = None
    image_size: int | None = None


class Recipe(NamedTuple):
    """Defaults for a run.

    Attributes:
        data: the images.
        net: the network.
        config: how to train.
        algorithm: what the recipe is for; None: any algorithm.
        options: keywords by algorithm, where they are not its own defaults.
    """

    data: DataOptions
    net: NetOptions
    config: TrainConfig
    algorithm: str | None = None
    options: dict[str, dict[str, Any]] = {}
