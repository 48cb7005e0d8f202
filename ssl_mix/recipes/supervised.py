"""Recipes for supervised training, each of a paper."""

import math
from typing import Any

from ssl_mix.engine.config import TrainConfig
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.recipes.recipe import Asked, Recipe
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions

CIFAR, TINY_IMAGENET, IMAGENET = 50_000, 100_000, 1_281_167  # training images


def _supervised(
    data: DataOptions,
    net: NetOptions,
    *,
    images: int,
    epochs: int,
    batch_size: int,
    options: dict[str, Any],
    warmup_epochs: int = 0,
    **config: Any,
) -> Recipe:
    """A supervised recipe in epochs; evaluates the network itself, once an epoch, as those papers do."""
    epoch = math.ceil(images / batch_size)
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
    return {"mixer": "cutmix", "alpha": 0.2, "loss": "dm-ce", "mixing": MixingTerms(eta=eta)}


def _dm_cifar100(net: str, weight_decay: float) -> Recipe:
    return _supervised(
        DataOptions(data="cifar100"),
        NetOptions(net=net),
        images=CIFAR,
        epochs=800,
        batch_size=100,
        options=_decoupled(eta=0.1),
        lr=0.1,
        nesterov=False,
        weight_decay=weight_decay,
        schedule="half-cosine",
    )


def dm_cifar100_resnet18(asked: Asked) -> Recipe:
    """Decoupled mixup (Liu et al., NeurIPS 2023) on CIFAR-100 with ResNet-18: 800 epochs of CutMix + DM(CE),
    eta 0.1.

    Command: ``ssl-mix train supervised --recipe dm-cifar100-resnet18 --download --out runs/dm``. For Mixup:
    ``--mixer mixup``; for PuzzleMix, AutoMix and SAMix the paper takes ``--alpha 2 --eta 1``. The control is
    ``--loss ce``: 78.17 for CutMix after 800 epochs as OpenMixup publishes it (median of the last ten). Not
    run.
    """
    del asked
    return _dm_cifar100("resnet-18", weight_decay=1e-4)


def dm_cifar100_resnext50(asked: Asked) -> Recipe:
    """The same with ResNeXt-50 32x4d and weight decay 0.0005, as published for CutMix.

    Command: ``ssl-mix train supervised --recipe dm-cifar100-resnext50 --download --out runs/dm``. Not run.
    """
    del asked
    return _dm_cifar100("resnext-50", weight_decay=5e-4)


def dm_tiny_imagenet(asked: Asked) -> Recipe:
    """Decoupled mixup on Tiny-ImageNet with ResNet-18: CutMix + DM(CE), eta 1 as the paper has it for this
    network.

    Command: ``ssl-mix train supervised --recipe dm-tiny-imagenet --train tiny/train --test tiny/val --out
    runs/tiny``, where ``val`` has been sorted into a folder per class. The paper leaves the length open: 400
    epochs and a learning rate of 0.1 are our choice. Not run.
    """
    del asked
    return _supervised(
        DataOptions(data="folder", image_size=64),
        NetOptions(net="resnet-18"),
        images=TINY_IMAGENET,
        epochs=400,
        batch_size=100,
        options=_decoupled(eta=1.0),
        lr=0.1,
        nesterov=False,
        weight_decay=1e-4,
        schedule="half-cosine",
    )


def dm_imagenet_resnet50(asked: Asked) -> Recipe:
    """Decoupled mixup on an ImageNet-1k folder with ResNet-50: 100 epochs of 256 images, CutMix + DM(CE), eta
    0.1.

    Command: ``ssl-mix train supervised --recipe dm-imagenet-resnet50 --train imagenet/train --test
    imagenet/val --out runs/imagenet``. Images are stored at 224 pixels (the central square), and crops are
    cut from those. Not run.
    """
    del asked
    return _supervised(
        DataOptions(data="folder", image_size=224, crop="resized"),
        NetOptions(net="torchvision:resnet50"),
        images=IMAGENET,
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
        images=CIFAR,
        epochs=200,
        batch_size=128,
        options={"mixer": "mixup", "alpha": 1.0, "regularizer": "sem"},
        lr=0.1,
        nesterov=False,
        weight_decay=1e-4,
        schedule="step",
    )


def sem_preactresnet18(asked: Asked) -> Recipe:
    """Semantic equivariance (Han et al., 2023) with PreActResNet-18: 200 epochs of Mixup on CIFAR-10, or
    CIFAR-100 with --data cifar100.

    Command: ``ssl-mix train supervised --recipe sem-preactresnet18 --download --out runs/sem``; with ES:
    ``--stop-mixing 0.1``;
    CutMix: ``--mixer cutmix``; the control: ``--regularizer none``. Published (CIFAR-10 / 100): 96.45 /
    79.31, with ES 96.14 / 80.67, control 95.77 / 77.44. The paper leaves alpha, the term's weight, the
    learning rate, its steps and ES's share open: 1, 1, 0.1 with a tenth at epochs 100 and 150 (as in the
    mixup paper's code) and 0.1 are our choice. Not run.
    """
    del asked
    return _sem("preact-resnet-18")


def sem_wrn28_10(asked: Asked) -> Recipe:
    """The same with WRN-28-10.

    Command: ``ssl-mix train supervised --recipe sem-wrn28-10 --download --out runs/sem``. Published (CIFAR-10
    / 100): 97.36 / 83.13, control 96.99 / 82.33. Not run.
    """
    del asked
    return _sem("wrn-28-10")


def _lumix(net: str, *, drop_path: float, epochs: int = 300, warmup_epochs: int = 20) -> Recipe:
    return _supervised(
        DataOptions(data="folder", image_size=224, crop="resized"),
        NetOptions(net=f"timm:{net}", drop_path=drop_path),
        images=IMAGENET,
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


def lumix_deit_s(asked: Asked) -> Recipe:
    """LUMix (Sun et al., 2022) with DeiT-S by timm on an ImageNet-1k folder: 300 epochs of 1024 images,
    AdamW, warm-up of 5 epochs.

    Command: ``ssl-mix train supervised --recipe lumix-deit-s --train imagenet/train --test imagenet/val --out
    runs/lumix``. Published: 80.6, control (``--label-policy plain``) 79.8. Differs from the paper, which
    leaves most to DeiT's settings: CutMix in every step, where DeiT takes Mixup in every other; our
    RandAugment with Cutout for its own with random erasing; test images are not cut to 0.875. Not run.
    """
    del asked
    return _lumix("deit_small_patch16_224", drop_path=0.1, warmup_epochs=5)


def lumix_swin_t(asked: Asked) -> Recipe:
    """The same with Swin-T, warm-up of 20 epochs. Published: 81.7, control 81.3. Not run.

    Command: ``ssl-mix train supervised --recipe lumix-swin-t --train imagenet/train --test imagenet/val --out
    runs/lumix``.
    """
    del asked
    return _lumix("swin_tiny_patch4_window7_224", drop_path=0.2)


def lumix_xcit_s(asked: Asked) -> Recipe:
    """The same with XCiT-S, 400 epochs. Published: 82.3, control 82.0. Not run.

    Command: ``ssl-mix train supervised --recipe lumix-xcit-s --train imagenet/train --test imagenet/val --out
    runs/lumix``.
    """
    del asked
    return _lumix("xcit_small_12_p16_224", drop_path=0.05, epochs=400)


def lumix_convnext_t(asked: Asked) -> Recipe:
    """The same with ConvNeXt-T. Published: 82.5, control 82.1. Not run.

    Command: ``ssl-mix train supervised --recipe lumix-convnext-t --train imagenet/train --test imagenet/val
    --out runs/lumix``.
    """
    del asked
    return _lumix("convnext_tiny", drop_path=0.1)
