"""What a run from pre-trained weights wants, whatever its algorithm."""

import dataclasses
from typing import Any

from ssl_mix.datasets.registry import DATASETS, takes
from ssl_mix.engine.config import TrainConfig
from ssl_mix.recipes.recipe import Recipe, Request
from ssl_mix.recipes.transfer import CONTRASTIVE
from ssl_mix.runs.data_options import OWN, DataOptions
from ssl_mix.runs.net_options import NetOptions

LARGE = 64  # pixels
STEPS, BATCH, RATE = 200, 24, 1e-3
CONTRAST = 0.03
TRAINED_HEAD, NEW_HEAD = 1.0, 10.0  # times the rate


def first_net(request: Request, pretrained: str | None = None) -> NetOptions:
    """The network and the weights that the user names, else ``pretrained``."""
    return NetOptions(net=request.net, pretrained=request.pretrained or pretrained)


def for_weights(request: Request, net: NetOptions, config: TrainConfig, options: dict[str, Any]) -> Recipe:
    """Defaults for a start from weights: few steps at a rate that keeps what the weights know, images of the
    size that they were trained at.

    The head starts from what the frozen features say (``--head-start``) and batch norm keeps its statistics
    (``--norms``), so there is little to learn and much to lose: a rate of 0.03 and a thousand steps are for
    random weights. The head learns as fast as the network, so that it follows the features, or ten times as
    fast where it starts from random weights.

    Args:
        request: what the user has named.
        net: names the weights.
        config: what the algorithm wants beside.
        options: likewise, its own.
    """
    if request.algorithm in CONTRASTIVE:
        options = {**options, "contrast_weight": CONTRAST}
    if request.algorithm == "stochnorm":  # which is about those that follow the batch
        net = dataclasses.replace(net, norms="training")
    size = request.image_size or net.trained_size()
    data, reasons = DataOptions(), {}
    if size is not None and (request.data or OWN) in DATASETS and takes(request.data or OWN, "image_size"):
        data = DataOptions(image_size=size, crop="resized" if size >= LARGE else None)
        reasons["image_size"] = "that of the images that the weights were trained on; smaller is faster"
    factor = NEW_HEAD if request.head_start == "random" else TRAINED_HEAD
    config = dataclasses.replace(
        config, steps=STEPS, batch_size=BATCH, lr=RATE, head_lr_factor=factor, schedule="half-cosine"
    )
    reasons |= {
        "steps": "the head starts trained, and more is easily too much for few labels",
        "batch_size": "few labels",
        "lr": "keeps what the weights know",
        "head_lr_factor": "the head is new" if factor == NEW_HEAD else "the head starts trained",
    }
    if "contrast_weight" in options:
        reasons["contrast_weight"] = (
            "the contrast reads a projector that is new, and outweighs the labels at 1"
        )
    return Recipe(data, net, config, options, reasons)
