"""Recipes for transfer: a pre-trained network on few labels of fine-grained images."""

from typing import Any

from ssl_mix.algorithms import TRANSFER
from ssl_mix.engine.config import TrainConfig
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.recipes.recipe import Asked, Recipe
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions

CONTRASTIVE = ("bi-tuning", "self-tuning")
MIXING = ("fine-tuning", "co-tuning", "self-tuning")
OWN_DECAY = ("l2-sp", "delta")  # which replace weight decay
FROM_TLLIB = ("l2-sp", "delta", "bi-tuning")
RESNET = NetOptions(net="torchvision:resnet50", pretrained="default")


def published_transfer(asked: Asked) -> Recipe:
    """What the method's own code does, as far as it is known; see ``docs/transfer.md``."""
    decoupled = MixingTerms(mix_alpha=0.2, mix_ramp="none", mix_mask="none", mix_norm="shared")
    config: dict[str, Any] = {"steps": 9050, "batch_size": 48, "milestones": (6000,)}
    if asked.algorithm in FROM_TLLIB:
        config |= {"steps": 10_000}
    if asked.algorithm == "bss":
        config |= {"steps": 9002, "nesterov": False}
    if asked.algorithm == "self-tuning":
        milestones = (6000, 12000, 18000, 24000)
        config |= {"steps": 27005, "batch_size": 24, "milestones": milestones, "weight_decay": 1e-4}
    return Recipe(
        _images(asked, fit="cut" if asked.algorithm in FROM_TLLIB else "squash"),
        RESNET,
        transfer_training(asked.algorithm, schedule="step", **config),
        options=_options("strong" if asked.algorithm == "self-tuning" else "weak", mixing=decoupled),
    )


def recommended(asked: Asked) -> Recipe:
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
        _images(asked),
        RESNET,
        transfer_training(asked.algorithm, steps=12_000, batch_size=24, schedule="half-cosine"),
        options=_options("strong", mixing=MixingTerms(eta_power=1.0)),
    )


def openmixup(asked: Asked) -> Recipe:
    """DM/AS in transfer as in its authors' code (OpenMixup), which is not as in their paper.

    The labeled image has the larger share, both halves of an asymmetric pair are decoupled and weighted by
    their share, mixed images have a head of their own, the asymmetric term ramps, every pseudo-label counts;
    cosine, no RandAugment, 27,000 steps. Their code weights by lam where ours does by 2 lam: eta 0.05 is its
    0.1. Left out: its projector of two layers.

    Command: ``ssl-mix train self-tuning --recipe openmixup --data cub200 --data-dir DIR --label-rate 0.15
    --mix dm-as --out runs/cub``. The authors publish no number of theirs with this code. Not run.
    """
    mixing = MixingTerms(
        eta=0.05,
        eta_power=1.0,
        mix_mask="none",
        mix_norm="shared",
        mix_side="major",
        mix_halves="both",
    )
    return Recipe(
        _images(asked),
        RESNET,
        transfer_training(
            asked.algorithm, steps=27_000, batch_size=24, schedule="half-cosine", nesterov=False
        ),
        options=_options("weak", mixing=mixing, mix_head="own"),
    )


def _options(view: str, **mixing: Any) -> dict[str, dict[str, Any]]:
    """One view for every method, and how those mix that do."""
    return {name: {"view": view, **(mixing if name in MIXING else {})} for name in TRANSFER}


def _images(asked: Asked, **options: Any) -> DataOptions:
    """Images of which the network sees crops, usually 224 of 256 pixels."""
    seen = asked.image_size or 224
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
