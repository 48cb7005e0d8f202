"""What a recipe is: settings that belong together."""

from typing import Any, NamedTuple

from ssl_mix.engine.config import TrainConfig
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions


class Request(NamedTuple):
    """What the user has named, on which a recipe's defaults depend.

    Attributes:
        algorithm: how to learn.
        data: the data set.
        image_size: side of what the network sees.
        net: the network, or weights to start from.
        pretrained: weights to start from.
        head_start: what the head starts from.
        tune: what is trained.
        norms: what normalization layers normalize by.
        steps: optimizer steps.
        batch_size: labeled images a step.
        mix: word of mixing.
        mixer: what mixes two images.
        criterion: loss of supervised training.
    """

    algorithm: str
    data: str | None = None
    image_size: int | None = None
    net: str | None = None
    pretrained: str | None = None
    head_start: str | None = None
    tune: str | None = None
    norms: str | None = None
    steps: int | None = None
    batch_size: int | None = None
    mix: str | None = None
    mixer: str | None = None
    criterion: str | None = None


class Recipe(NamedTuple):
    """Defaults for a run.

    Attributes:
        data: the images.
        net: the network.
        config: how to train.
        options: keywords of the algorithm and of its mixing terms, where they are not its own defaults.
        reasons: why an option is as it is, by its name, where the user should know.
    """

    data: DataOptions
    net: NetOptions
    config: TrainConfig
    options: dict[str, Any] = {}
    reasons: dict[str, str] = {}
