"""Runs as functions: settings that belong together, and the one way from words to a run."""

from collections.abc import Callable

from ssl_mix.recipes import cifar, imagenet
from ssl_mix.recipes.general import paper, small
from ssl_mix.recipes.recipe import Recipe, Request
from ssl_mix.recipes.transfer import recommended

__all__ = ["GENERAL", "RECIPES", "Recipe", "Request"]

RECIPES: dict[str, Callable[[Request], Recipe]] = {
    "small": small,
    "paper": paper,
    "recommended": recommended,
    "rsb-a2": imagenet.rsb_a2,
    "rsb-a3": imagenet.rsb_a3,
    "deit-s": imagenet.deit_s,
    "swin-t": imagenet.swin_t,
    "convnext-t": imagenet.convnext_t,
    "xcit-s": imagenet.xcit_s,
    "pvt-t": imagenet.pvt_t,
    "resnet-18": imagenet.resnet18,
    "resnet-18-300": imagenet.resnet18_300,
    "resnet-50": imagenet.resnet50,
    "resnet-50-300": imagenet.resnet50_300,
    "cifar-resnet-18": cifar.cifar_resnet18,
    "cifar-resnext-50": cifar.cifar_resnext50,
    "cifar-wrn-28-8": cifar.cifar_wrn28_8,
    "cifar-wrn-28-10": cifar.cifar_wrn28_10,
    "cifar-preact-resnet-18": cifar.cifar_preact18,
}
GENERAL = ("small", "paper", "recommended")  # those for any algorithm; others are for supervised training
