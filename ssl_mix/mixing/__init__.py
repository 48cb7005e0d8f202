"""Mixing as an objective: terms that any algorithm adds, the pool of MixMatch, and mixer, label policy and
loss for supervised training."""

from ssl_mix.mixing.criterion import MixingLoss, check_composition
from ssl_mix.mixing.pool import Pool, mix_pool
from ssl_mix.mixing.terms import MixingTerms

__all__ = ["MixingLoss", "MixingTerms", "Pool", "check_composition", "mix_pool"]
