"""Mixers: ``mixer(images, labels)`` pairs a batch with itself, ``mixer.mix(images_a, images_b)`` mixes two batches."""

from ssl_mix.mixers._common import Mixer, sample_beta
from ssl_mix.mixers.cutmix import CutMix
from ssl_mix.mixers.mixup import Mixup

MIXERS: dict[str, type[Mixup] | type[CutMix]] = {"mixup": Mixup, "cutmix": CutMix}

__all__ = ["MIXERS", "CutMix", "Mixer", "Mixup", "sample_beta"]
