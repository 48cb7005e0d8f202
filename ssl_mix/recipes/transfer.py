"""Recipes for transfer: a pre-trained network on few labels of fine-grained images."""

import inspect
from typing import Any

from ssl_mix.algorithms import ALGORITHMS, TRANSFER
from ssl_mix.engine.config import TrainConfig
from ssl_mix.recipes.recipe import Recipe, Request
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions

CONTRASTIVE = ("bi-tuning", "self-tuning")
MIXING = ("fine-tuning", "co-tuning", "self-tuning")
OWN_DECAY = ("l2-sp", "delta")  # which replace weight decay
FROM_TLLIB = ("l2-sp", "delta", "bi-tuning")
RESNET = NetOptions(net="torchvision:resnet50", pretrained="default")


def published_transfer(request: Request) -> Recipe:
    """What the method's own code does, as far as it is known; see ``docs/transfer.md``."""
    view = "strong" if request.algorithm == "self-tuning" else "weak"
    config: dict[str, Any] = {"steps": 9050, "batch_size": 48, "milestones": (6000,)}
    if request.algorithm in FROM_TLLIB:
        config |= {"steps": 10_000}
    if request.algorithm == "bss":
        config |= {"steps": 9002, "nesterov": False}
    if request.algorithm == "self-tuning":
        milestones = (6000, 12000, 18000, 24000)
        config |= {"steps": 27005, "batch_size": 24, "milestones": milestones, "weight_decay": 1e-4}
    return Recipe(
        _images(request, fit="cut" if request.algorithm in FROM_TLLIB else "squash"),
        RESNET,
        transfer_training(request.algorithm, schedule="step", **config),
        _options(request.algorithm, view, mix_alpha=0.2, mix_ramp="none"),
    )


def recommended(request: Request) -> Recipe:
    """Transfer with the same augmentation, schedule and length for every method, and DM/AS wired as we would.

    12,000 steps of 24 labeled and 24 unlabeled images, RandAugment for all, half a cosine from 0.001 (new
    layers 0.01). The published curves of Self-Tuning are flat from 9,000 to 12,000 of their 27,000 steps on.
    DM/AS: the decoupled halves fade with the labeled share (``--eta-power 1``), lam ~ Beta(1, 1), the
    asymmetric term ramps.

    Command: ``ssl-mix train self-tuning --recipe recommended --data cub200 --data-dir DIR --label-rate 0.15
    --mix dm-as --out runs/cub``; ``scripts/fine_grained_transfer.py`` runs the table with its controls. GPU
    hours: not run.
    """
    return Recipe(
        _images(request),
        RESNET,
        transfer_training(request.algorithm, steps=12_000, batch_size=24, schedule="half-cosine"),
        _options(request.algorithm, "strong"),
    )


def _options(algorithm: str, view: str, **mixing: Any) -> dict[str, Any]:
    """One view for every method that has a choice, and how those mix that do."""
    chosen = {"view": view} if "view" in inspect.signature(ALGORITHMS[algorithm]).parameters else {}
    return {**chosen, **(mixing if algorithm in MIXING else {})}


def _images(request: Request, **options: Any) -> DataOptions:
    """Images of which the network sees crops, usually 224 of 256 pixels."""
    seen = request.image_size or 224
    stored = round(seen * 8 / 7)
    return DataOptions(
        image_size=seen, stored_size=stored, crop="resized", randaugment="self-tuning", **options
    )


def transfer_training(algorithm: str | None, **config: Any) -> TrainConfig:
    """New layers learn ten times as fast, and the test part is scored once.

    The network itself is evaluated, but for methods that learn from a moving average. Semi-supervised methods
    keep theirs.
    """
    decay = 0.0 if algorithm in TRANSFER.keys() - CONTRASTIVE else 0.999
    shared: dict[str, Any] = {
        "lr": 1e-3,
        "head_lr_factor": 10.0,
        "ema_decay": 0.998001 if algorithm == "self-tuning" else decay,  # 0.999 twice a step
        "ema_warmup": False,
        "weight_decay": 0.0 if algorithm in OWN_DECAY else 5e-4,
        "test_scored": "once",
        "log_every": 50,
    }
    return TrainConfig(**{**shared, **config})
