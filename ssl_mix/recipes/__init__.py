"""Settings that belong together, as functions: the defaults of ``ssl-mix train --recipe NAME``; every flag
overrides its own."""

from collections.abc import Callable

from ssl_mix.recipes.general import paper, small
from ssl_mix.recipes.recipe import Asked, Recipe
from ssl_mix.recipes.supervised import (
    dm_cifar100_resnet18,
    dm_cifar100_resnext50,
    dm_imagenet_resnet50,
    dm_tiny_imagenet,
    lumix_convnext_t,
    lumix_deit_s,
    lumix_swin_t,
    lumix_xcit_s,
    sem_preactresnet18,
    sem_wrn28_10,
)
from ssl_mix.recipes.transfer import openmixup, recommended

__all__ = ["RECIPES", "Asked", "Recipe"]

RECIPES: dict[str, Callable[[Asked], Recipe]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        small,
        paper,
        recommended,
        openmixup,
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
