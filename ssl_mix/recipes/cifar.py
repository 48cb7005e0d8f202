"""Recipes of papers for CIFAR-100, and CIFAR-10 likewise. None was run here at full size."""

from typing import Any

from ssl_mix.recipes.published import CIFAR, decoupled, published
from ssl_mix.recipes.recipe import Recipe, Request


def cifar_resnet18(request: Request) -> Recipe:
    """ResNet-18 on CIFAR-100, 800 epochs, as decoupled mixup compares mixers.

    Source: Liu et al. (NeurIPS 2023), appendix A.3, and OpenMixup: 78.17 % with CutMix, median of the last
    ten epochs. With ``--mix dm`` alpha and eta as published, see resnet-18.
    """
    return _openmixup(request, "resnet-18", epochs=800, lr=0.1, weight_decay=1e-4)


def cifar_resnext50(request: Request) -> Recipe:
    """ResNeXt-50 32x4d on CIFAR-100, 800 epochs, as decoupled mixup compares mixers.

    Source: as cifar-resnet-18. OpenMixup takes a weight decay of 5e-4 with CutMix, FMix, ResizeMix and
    SaliencyMix, 1e-4 with others, and so does this recipe.
    """
    cutting = request.mixer in ("cutmix", "fmix", "resizemix", "saliencymix")
    return _openmixup(request, "resnext-50", epochs=800, lr=0.1, weight_decay=5e-4 if cutting else 1e-4)


def cifar_wrn28_8(request: Request) -> Recipe:
    """WRN-28-8 on CIFAR-100, 400 epochs.

    Source: OpenMixup's settings, which decoupled mixup follows: rate 0.03, weight decay 1e-3.
    """
    return _openmixup(request, "wrn-28-8", epochs=400, lr=0.03, weight_decay=1e-3)


def cifar_wrn28_10(request: Request) -> Recipe:
    """WRN-28-10 on CIFAR-100, 200 epochs, as semantic equivariance compares, published 82.33 % (Mixup).

    Source: Han et al., "Semantic Equivariant Mixup" (2023), which names 200 epochs and SGD alone. Rate 0.1
    with a tenth at epochs 100 and 150, batch 128 and weight decay 1e-4 are those of the mixup paper's code.
    """
    return _equivariance(request, "wrn-28-10")


def cifar_preact18(request: Request) -> Recipe:
    """PreActResNet-18 on CIFAR-100, 200 epochs, as semantic equivariance compares, published 77.44 % (Mixup).

    Source: as cifar-wrn-28-10.
    """
    return _equivariance(request, "preact-resnet-18")


def _openmixup(request: Request, net: str, **settings: Any) -> Recipe:
    options = decoupled(request)
    return published(request, net, images=CIFAR, batch=100, nesterov=False, options=options, **settings)


def _equivariance(request: Request, net: str) -> Recipe:
    settings: dict[str, Any] = {"weight_decay": 1e-4, "nesterov": False, "schedule": "step"}
    return published(request, net, images=CIFAR, epochs=200, batch=128, lr=0.1, **settings)
