"""Losses for mixed images: pure functions, and modules for loops that call ``criterion(output, target)``.

Examples follow ``import torch`` and ``from ssl_mix.losses import *``.
"""

from ssl_mix.losses.asymmetric import AsymmetricMixupLoss, asymmetric_mixup_cross_entropy
from ssl_mix.losses.bce import DecoupledMixupBCELoss, decoupled_mixup_bce, rescale_lam
from ssl_mix.losses.contrast import group_contrast
from ssl_mix.losses.decoupled import decoupled_cross_entropy, decoupled_mixup_cross_entropy
from ssl_mix.losses.decoupled_loss import DecoupledMixupLoss
from ssl_mix.losses.equivariance import semantic_equivariance
from ssl_mix.losses.logit_adjusted import (
    BalancedSoftmaxLoss,
    LogitAdjustedLoss,
    adjusted_logits,
    balanced_softmax_cross_entropy,
    logit_adjusted_cross_entropy,
)
from ssl_mix.losses.lumix import lumix_cross_entropy, lumix_regularizer
from ssl_mix.losses.lumix_lam import lumix_lam
from ssl_mix.losses.lumix_loss import LUMixLoss
from ssl_mix.losses.mixup import mixup_cross_entropy
from ssl_mix.losses.multiway import multiway_decoupled_cross_entropy
from ssl_mix.losses.spectral import spectral_shrinkage

__all__ = [
    "AsymmetricMixupLoss",
    "BalancedSoftmaxLoss",
    "DecoupledMixupBCELoss",
    "DecoupledMixupLoss",
    "LUMixLoss",
    "LogitAdjustedLoss",
    "adjusted_logits",
    "asymmetric_mixup_cross_entropy",
    "balanced_softmax_cross_entropy",
    "decoupled_cross_entropy",
    "decoupled_mixup_bce",
    "decoupled_mixup_cross_entropy",
    "group_contrast",
    "logit_adjusted_cross_entropy",
    "lumix_cross_entropy",
    "lumix_lam",
    "lumix_regularizer",
    "mixup_cross_entropy",
    "multiway_decoupled_cross_entropy",
    "rescale_lam",
    "semantic_equivariance",
    "spectral_shrinkage",
]
