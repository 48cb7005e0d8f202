"""Losses for mixed pictures: pure functions, and modules for loops that call ``criterion(output, target)``."""

from ssl_mix.losses.asymmetric import asymmetric_mixup_cross_entropy
from ssl_mix.losses.decoupled import decoupled_cross_entropy, decoupled_mixup_cross_entropy
from ssl_mix.losses.mixup import mixup_cross_entropy
from ssl_mix.losses.modules import AsymmetricMixupLoss, DecoupledMixupLoss

__all__ = [
    "AsymmetricMixupLoss",
    "DecoupledMixupLoss",
    "asymmetric_mixup_cross_entropy",
    "decoupled_cross_entropy",
    "decoupled_mixup_cross_entropy",
    "mixup_cross_entropy",
]
