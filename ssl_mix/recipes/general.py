"""Recipes for any algorithm: one for short runs, one as published."""

from typing import Any

from ssl_mix.algorithms import TRANSFER
from ssl_mix.engine.config import TrainConfig
from ssl_mix.recipes.recipe import Recipe, Request
from ssl_mix.recipes.transfer import published_transfer, transfer_training
from ssl_mix.recipes.weights import first_net, for_weights
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions


def small(request: Request) -> Recipe:
    """Up to about 10,000 steps: batch-norm momentum 0.1 and a teacher that warms up, so that a short run
    learns.

    MixMatch gets weight 10: with the published 100, ramped within a thousand steps, the network answers the
    same to everything (250 labels of CIFAR-10, small-cnn, 1600 steps: 12.7 % right with 100, 41.2 % with 10,
    supervised 36.3 %).

    Transfer starts from pre-trained weights unless told otherwise, and scores the test part once, at the end.
    Any start from weights gets the defaults of :func:`ssl_mix.recipes.weights.for_weights`.

    Command: ``ssl-mix train fixmatch --data digits --labels 40 --out runs/digits``.
    """
    transfer = request.algorithm in TRANSFER
    options: dict[str, Any] = {"unlabeled_weight": 10.0} if request.algorithm == "mixmatch" else {}
    config = short_transfer(request.algorithm) if transfer else TrainConfig()
    net = first_net(request, "default" if transfer else None)
    if net.from_weights:
        return for_weights(request, net, config, options)
    return Recipe(DataOptions(), net, config, options)


def short_transfer(algorithm: str) -> TrainConfig:
    """Transfer by a short run."""
    defaults = TrainConfig()
    return transfer_training(
        algorithm,
        lr=0.003,
        schedule="half-cosine",
        ema_decay=defaults.ema_decay,
        ema_warmup=True,
        log_every=defaults.log_every,
    )


def paper(request: Request) -> Recipe:
    """The published settings: of the semi-supervised tables, or for transfer those of the method's own code.

    Semi-supervised: 2^20 steps of 64 labeled images and mu times as many unlabeled. Transfer: ResNet-50,
    images stored at 256 pixels and seen at 224, see ``docs/transfer.md``.

    Command: ``ssl-mix train fixmatch --data cifar10 --download --labels 250 --recipe paper --out
    runs/cifar10-250``, and likewise for every algorithm; ``scripts/cifar_ssl.py --recipe paper`` runs the
    whole table. Expected error: in the docstring of each algorithm, and for every number of labels, with
    source and metric, in ``scripts/published.py``; FixMatch with 250 labels: 5.07 (Sohn et al., RandAugment),
    4.86 +- 0.05 (TorchSSL, best checkpoint). GPU hours: not run.

    Among the data sets "cifar100" takes WRN-28-8, weight decay 0.001 and MixMatch's weight 150, everything
    else WRN-28-2 and 0.0005; "svhn" keeps FreeMatch's threshold between 0.9 and 0.95.
    """
    if request.algorithm in TRANSFER:
        return published_transfer(request)
    hundred = request.data == "cifar100"
    options: dict[str, Any] = {}
    if (request.algorithm, request.data) == ("mixmatch", "cifar100"):
        options = {"unlabeled_weight": 150.0}
    if (request.algorithm, request.data) == ("freematch", "svhn"):
        options = {"lowest_threshold": 0.9, "highest_threshold": 0.95}
    return Recipe(
        DataOptions(include_labeled=True),
        NetOptions(net="wrn-28-8" if hundred else "wrn-28-2", bn_momentum=0.001),
        TrainConfig(
            steps=2**20,
            weight_decay=1e-3 if hundred else 5e-4,
            ema_warmup=False,
            log_every=256,
            eval_every=1024,
            checkpoint_every=1024,
        ),
        options,
    )
