"""Settings that belong together, as functions: the defaults of ``ssl-mix train --recipe NAME``; every flag overrides its own."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ssl_mix.asymmetric import AsymmetricMix
from ssl_mix.engine.config import TrainConfig
from ssl_mix.net_options import NetOptions
from ssl_mix.runs import DataOptions

CIFAR, TINY_IMAGENET, IMAGENET = 50_000, 100_000, 1_281_167  # training pictures


class Recipe(NamedTuple):
    """Defaults for a run.

    Attributes:
        data: the pictures.
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


def small(data: str | None) -> Recipe:
    """Up to about 10,000 steps: batch-norm momentum 0.1 and a teacher that warms up, so that a short run learns.

    MixMatch gets weight 10: with the published 100, ramped within a thousand steps, the network answers the same to everything
    (250 labels of CIFAR-10, small-cnn, 1600 steps: 12.7 % right with 100, 41.2 % with 10, supervised 36.3 %).

    Command: ``ssl-mix train fixmatch --data digits --labels 40 --out runs/digits``.
    """
    del data
    options: dict[str, dict[str, Any]] = {"mixmatch": {"unlabeled_weight": 10.0}}
    return Recipe(DataOptions(), NetOptions(), TrainConfig(), options=options)


def paper(data: str | None) -> Recipe:
    """The settings behind the published semi-supervised tables: 2^20 steps of 64 labelled pictures and mu times as many unlabelled.

    Command: ``ssl-mix train fixmatch --data cifar10 --download --labels 250 --recipe paper --out runs/cifar10-250``, and likewise for
    every algorithm; ``scripts/cifar_ssl.py --recipe paper`` runs the whole table. Expected error: in the docstring of each
    algorithm, and for every number of labels, with source and metric, in ``scripts/published.py``; FixMatch with 250 labels: 5.07
    (Sohn et al., RandAugment), 4.86 +- 0.05 (TorchSSL, best checkpoint). GPU hours: not run.

    Args:
        data: "cifar100" takes WRN-28-8, weight decay 0.001 and MixMatch's weight 150, everything else WRN-28-2 and 0.0005; "svhn"
            keeps FreeMatch's threshold between 0.9 and 0.95.
    """
    hundred = data == "cifar100"
    options: dict[str, dict[str, Any]] = {
        "cifar100": {"mixmatch": {"unlabeled_weight": 150.0}},
        "svhn": {"freematch": {"lowest_threshold": 0.9, "highest_threshold": 0.95}},
    }.get(data or "", {})
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
        options=options,
    )


def _supervised(
    data: DataOptions,
    net: NetOptions,
    *,
    pictures: int,
    epochs: int,
    batch_size: int,
    options: dict[str, Any],
    warmup_epochs: int = 0,
    **config: Any,
) -> Recipe:
    """A supervised recipe in epochs; evaluates the network itself, once an epoch, as those papers do."""
    epoch = math.ceil(pictures / batch_size)
    training = TrainConfig(
        steps=epochs * epoch,
        batch_size=batch_size,
        warmup_steps=warmup_epochs * epoch,
        ema_decay=0.0,
        log_every=100,
        eval_every=epoch,
        checkpoint_every=epoch,
        **config,
    )
    return Recipe(data, net, training, "supervised", {"supervised": options})


def _decoupled(eta: float) -> dict[str, Any]:
    return {"mixer": "cutmix", "alpha": 0.2, "loss": "dm-ce", "mixing": AsymmetricMix(eta=eta)}


def _dm_cifar100(net: str, weight_decay: float) -> Recipe:
    return _supervised(
        DataOptions(data="cifar100"),
        NetOptions(net=net),
        pictures=CIFAR,
        epochs=800,
        batch_size=100,
        options=_decoupled(eta=0.1),
        lr=0.1,
        nesterov=False,
        weight_decay=weight_decay,
        schedule="half-cosine",
    )


def dm_cifar100_resnet18(data: str | None) -> Recipe:
    """Decoupled mixup (Liu et al., NeurIPS 2023) on CIFAR-100 with ResNet-18: 800 epochs of CutMix + DM(CE), eta 0.1.

    Command: ``ssl-mix train supervised --recipe dm-cifar100-resnet18 --download --out runs/dm``. For Mixup: ``--mixer mixup``; for
    PuzzleMix, AutoMix and SAMix the paper takes ``--alpha 2 --eta 1``. The control is ``--loss ce``: 78.17 for CutMix after 800
    epochs as OpenMixup publishes it (median of the last ten). Not run.
    """
    del data
    return _dm_cifar100("resnet-18", weight_decay=1e-4)


def dm_cifar100_resnext50(data: str | None) -> Recipe:
    """The same with ResNeXt-50 32x4d and weight decay 0.0005, as published for CutMix.

    Command: ``ssl-mix train supervised --recipe dm-cifar100-resnext50 --download --out runs/dm``. Not run.
    """
    del data
    return _dm_cifar100("resnext-50", weight_decay=5e-4)


def dm_tiny_imagenet(data: str | None) -> Recipe:
    """Decoupled mixup on Tiny-ImageNet with ResNet-18: CutMix + DM(CE), eta 1 as the paper has it for this network.

    Command: ``ssl-mix train supervised --recipe dm-tiny-imagenet --train tiny/train --test tiny/val --out runs/tiny``, where ``val`` has
    been sorted into a folder per class. The paper leaves the length open: 400 epochs and a learning rate of 0.1 are our choice. Not run.
    """
    del data
    return _supervised(
        DataOptions(data="folder", image_size=64),
        NetOptions(net="resnet-18"),
        pictures=TINY_IMAGENET,
        epochs=400,
        batch_size=100,
        options=_decoupled(eta=1.0),
        lr=0.1,
        nesterov=False,
        weight_decay=1e-4,
        schedule="half-cosine",
    )


def dm_imagenet_resnet50(data: str | None) -> Recipe:
    """Decoupled mixup on an ImageNet-1k folder with ResNet-50: 100 epochs of 256 pictures, CutMix + DM(CE), eta 0.1.

    Command: ``ssl-mix train supervised --recipe dm-imagenet-resnet50 --train imagenet/train --test imagenet/val --out runs/imagenet``.
    Pictures are stored at 224 pixels (the central square), and crops are cut from those. Not run.
    """
    del data
    return _supervised(
        DataOptions(data="folder", image_size=224, crop="resized"),
        NetOptions(net="torchvision:resnet50"),
        pictures=IMAGENET,
        epochs=100,
        batch_size=256,
        options=_decoupled(eta=0.1),
        lr=0.1,
        nesterov=False,
        weight_decay=1e-4,
        schedule="half-cosine",
    )


def _sem(net: str) -> Recipe:
    return _supervised(
        DataOptions(data="cifar10"),
        NetOptions(net=net),
        pictures=CIFAR,
        epochs=200,
        batch_size=128,
        options={"mixer": "mixup", "alpha": 1.0, "regulariser": "sem"},
        lr=0.1,
        nesterov=False,
        weight_decay=1e-4,
        schedule="step",
    )


def sem_preactresnet18(data: str | None) -> Recipe:
    """Semantic equivariance (Han et al., 2023) with PreActResNet-18: 200 epochs of Mixup on CIFAR-10, or CIFAR-100 with --data cifar100.

    Command: ``ssl-mix train supervised --recipe sem-preactresnet18 --download --out runs/sem``; with ES: ``--stop-mixing 0.1``;
    CutMix: ``--mixer cutmix``; the control: ``--regulariser none``. Published (CIFAR-10 / 100): 96.45 / 79.31, with ES 96.14 / 80.67, control
    95.77 / 77.44. The paper leaves alpha, the term's weight, the learning rate, its steps and ES's share open: 1, 1, 0.1 with a tenth at
    epochs 100 and 150 (as in the mixup paper's code) and 0.1 are our choice. Not run.
    """
    del data
    return _sem("preact-resnet-18")


def sem_wrn28_10(data: str | None) -> Recipe:
    """The same with WRN-28-10.

    Command: ``ssl-mix train supervised --recipe sem-wrn28-10 --download --out runs/sem``. Published (CIFAR-10 / 100): 97.36 / 83.13, control
    96.99 / 82.33. Not run.
    """
    del data
    return _sem("wrn-28-10")


def _lumix(net: str, *, drop_path: float, epochs: int = 300, warmup_epochs: int = 20) -> Recipe:
    return _supervised(
        DataOptions(data="folder", image_size=224, crop="resized"),
        NetOptions(net=f"timm:{net}", drop_path=drop_path),
        pictures=IMAGENET,
        epochs=epochs,
        batch_size=1024,
        warmup_epochs=warmup_epochs,
        options={
            "mixer": "cutmix",
            "alpha": 1.0,
            "label_policy": "lumix",
            "label_smoothing": 0.1,
            "view": "strong",
        },
        optimizer="adamw",
        lr=1e-3,
        weight_decay=0.05,
        schedule="half-cosine",
        final_lr=1e-5,
    )


def lumix_deit_s(data: str | None) -> Recipe:
    """LUMix (Sun et al., 2022) with DeiT-S by timm on an ImageNet-1k folder: 300 epochs of 1024 pictures, AdamW, warm-up of 5 epochs.

    Command: ``ssl-mix train supervised --recipe lumix-deit-s --train imagenet/train --test imagenet/val --out runs/lumix``. Published: 80.6,
    control (``--label-policy plain``) 79.8. Differs from the paper, which leaves most to DeiT's settings: CutMix in every step, where
    DeiT takes Mixup in every other; our RandAugment with Cutout for its own with random erasing; test pictures are not cut to 0.875. Not run.
    """
    del data
    return _lumix("deit_small_patch16_224", drop_path=0.1, warmup_epochs=5)


def lumix_swin_t(data: str | None) -> Recipe:
    """The same with Swin-T, warm-up of 20 epochs. Published: 81.7, control 81.3. Not run.

    Command: ``ssl-mix train supervised --recipe lumix-swin-t --train imagenet/train --test imagenet/val --out runs/lumix``.
    """
    del data
    return _lumix("swin_tiny_patch4_window7_224", drop_path=0.2)


def lumix_xcit_s(data: str | None) -> Recipe:
    """The same with XCiT-S, 400 epochs. Published: 82.3, control 82.0. Not run.

    Command: ``ssl-mix train supervised --recipe lumix-xcit-s --train imagenet/train --test imagenet/val --out runs/lumix``.
    """
    del data
    return _lumix("xcit_small_12_p16_224", drop_path=0.05, epochs=400)


def lumix_convnext_t(data: str | None) -> Recipe:
    """The same with ConvNeXt-T. Published: 82.5, control 82.1. Not run.

    Command: ``ssl-mix train supervised --recipe lumix-convnext-t --train imagenet/train --test imagenet/val --out runs/lumix``.
    """
    del data
    return _lumix("convnext_tiny", drop_path=0.1)


RECIPES: dict[str, Callable[[str | None], Recipe]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        small,
        paper,
        dm_cifar100_resnet18,
        dm_cifar100_resnext50,
        dm_tiny_imagenet,
        dm_imagenet_resnet50,
        sem_preactresnet18,
        sem_wrn28_10,
        lumix_deit_s,
        lumix_swin_t,
        lumix_xcit_s,
        lumix_convnext_t,
    )
}
