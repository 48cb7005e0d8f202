"""What a run from pre-trained weights wants, whatever its algorithm."""

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.datasets.registry import DATASETS, takes
from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError
from ssl_mix.models.first_weights import images_behind, is_trained
from ssl_mix.recipes.recipe import Recipe, Request
from ssl_mix.recipes.transfer import CONTRASTIVE
from ssl_mix.runs.data_options import OWN, DataOptions
from ssl_mix.runs.net_options import GIVEN, NetOptions

LARGE = 64  # pixels
STEPS, BATCH, RATE = 200, 24, 1e-3
RATIO = 2  # unlabeled images for each labeled one, at most
CONTRAST, CONTRAST_CLIP = 0.03, 1.0
CLIP = 20.0  # about the length of the gradients of plain fine-tuning
MIDDLE = 0.5
OWN_KEYS = ("mean-teacher", "simmatch", "simmatchv2", *CONTRASTIVE)  # which learn from their teacher
ADDED = ("head", "lora")  # ways to tune that leave the weights alone and train something beside them
TRAINED_HEAD, NEW_HEAD = 1.0, 10.0  # times the rate
BY_NAME = ("first_block", "bn_momentum", "drop_path")


def first_net(request: Request, pretrained: str | None = None) -> NetOptions:
    """The network and the weights that the user names, else ``pretrained``."""
    return NetOptions(net=request.net, pretrained=request.pretrained or pretrained)


def for_weights(request: Request, net: NetOptions, config: TrainConfig, options: dict[str, Any]) -> Recipe:
    """Defaults for a start from weights: few steps at a rate that keeps what the weights know, images of the
    size that they were trained at.

    The head starts from what the frozen features say (``--head-start``) and batch norm keeps its statistics
    (``--norms``), so there is little to learn and much to lose: a rate of 0.03 and a thousand steps are for
    random weights. The head learns as fast as the network, so that it follows the features, or ten times as
    fast where it starts from random weights. What is kept is the middle between the weights at the start and
    at the end, whatever the training forgets.

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
    if size is not None and takes_sizes(request.data):
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
    if keeps_the_middle(request, net):
        config = dataclasses.replace(config, start_share=MIDDLE)
        reasons["start_share"] = "the middle between the start and the end is better than both"
    if request.tune != "head":
        clip = CONTRAST_CLIP if request.algorithm in CONTRASTIVE else CLIP
        config = dataclasses.replace(config, clip_grad=clip)
        reasons["clip_grad"] = "a few long gradients can destroy the features"
        if many_unlabeled(request.algorithm):
            options = {**options, "unlabeled_ratio": RATIO}
            reasons["unlabeled_ratio"] = "a third of the time that 7 takes; more may gain a point"
    if "contrast_weight" in options:
        reasons["contrast_weight"] = (
            "the contrast reads a projector that is new, and outweighs the labels at 1"
        )
    return Recipe(data, net, config, options, reasons)


def keeps_the_middle(request: Request, net: NetOptions) -> bool:
    """Whether the middle between the weights at the start and at the end is a network too: of a head that
    starts trained, with the statistics that both share."""
    tuned = request.tune not in ADDED and request.algorithm not in OWN_KEYS
    return tuned and request.head_start != "random" and "training" not in (net.norms, request.norms)


def many_unlabeled(algorithm: str) -> bool:
    """Whether a step of the algorithm has more unlabeled images than ``RATIO`` for each labeled one by its
    own default."""
    given = inspect.signature(ALGORITHMS[algorithm]).parameters.get("unlabeled_ratio")
    return given is not None and given.default > RATIO


def takes_sizes(data: str | None) -> bool:
    """Whether the images of that data set, or one's own, can be had at any size."""
    name = data or OWN
    return name in DATASETS and takes(name, "image_size")


def for_handed_over(net: nn.Module, options: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
    """The options beside a network that is handed over, with what follows from its weights where they are
    trained: that it starts from them, and the normalization of the images behind them. And the side of those.

    ``pretrained`` "none" and "default" say which it is; where nothing does, the algorithm decides.

    Args:
        net: that was handed over.
        options: of the user, which win.

    Raises:
        ValueError: an option is for networks by name, or names other weights.
    """
    for name in BY_NAME:
        if options.get(name):
            raise UserError(
                f"`{name}` is for networks by name, and a module was handed over: build that with it"
            )
    weights = options.get("pretrained")
    if weights not in (None, "none", "default", GIVEN):
        raise UserError(
            f"`net` is a network and `pretrained={weights}` names weights: load them into it first, "
            "ssl_mix.models.pretrained.load_pretrained(net, FILE)"
        )
    if weights is None:
        weights = {True: GIVEN, False: "none", None: None}[is_trained(net)]
    weights = GIVEN if weights == "default" else weights
    known = images_behind(net) if weights == GIVEN else None
    found: dict[str, Any] = {} if known is None else {"mean": known.mean, "std": known.std}
    found |= options if weights is None else {**options, "pretrained": weights}
    sizable = takes_sizes(options.get("data"))
    return found, known.size if known is not None and sizable else None
