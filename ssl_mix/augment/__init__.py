"""Batched augmentation of uint8 images, on their device, with parameters of its own for each image."""

from ssl_mix.augment.augmix import AugMix
from ssl_mix.augment.ctaugment import CTAugment
from ssl_mix.augment.cutout import cutout
from ssl_mix.augment.randaugment import RandAugment
from ssl_mix.augment.trivial import TrivialAugment
from ssl_mix.augment.views import Augmentation
from ssl_mix.augment.weak import flip_and_crop

__all__ = ["AugMix", "Augmentation", "CTAugment", "RandAugment", "TrivialAugment", "cutout", "flip_and_crop"]
