"""Losses for mixed pictures: pure functions, and modules for loops that call ``criterion(output, target)``."""

from ssl_mix.losses.asymmetric import asymmetric_mixup_cross_entropy
from ssl_mix.losses.bce import decoupled_mixup_bce, rescale_lam
from ssl_mix.losses.contrast import group_contrast
from ssl_mix.losses.decoupled import decoupled_cross_entropy, decoupled_mixup_cross_entropy
from ssl_mix.losses.equivariance import semantic_equivariance
from ssl_mix.losses.lumix import lumix_cross_entropy, lumix_lam, lumix_regulariser
from ssl_mix.losses.mixup import mixup_cross_entropy
from ssl_mix.losses.modules import AsymmetricMixupLoss, DecoupledMixupLoss
from ssl_mix.losses.modules_bce import DecoupledMixupBCELoss
from ssl_mix.losses.modules_lumix import LUMixLoss
from ssl_mix.losses.multiway import multiway_decoupled_cross_entropy
from ssl_mix.losses.spectral import spectral_shrinkage

__all__ = [
    "AsymmetricMixupLoss",
    "DecoupledMixupBCELoss",
    "DecoupledMixupLoss",
    "LUMixLoss",
    "asymmetric_mixup_cross_entropy",
    "decoupled_cross_entropy",
    "decoupled_mixup_bce",
    "decoupled_mixup_cross_entropy",
    "group_contrast",
    "lumix_cross_entropy",
    "lumix_lam",
    "lumix_regulariser",
    "mixup_cross_entropy",
    "multiway_decoupled_cross_entropy",
    "rescale_lam",
    "semantic_equivariance",
    "spectral_shrinkage",
]
