"""Batched augmentation of uint8 images, on their device, with parameters of its own for each image."""

from ssl_mix.augment.cutout import cutout
from ssl_mix.augment.randaugment import RandAugment
from ssl_mix.augment.views import Augmentation
from ssl_mix.augment.weak import flip_and_crop

__all__ = ["Augmentation", "RandAugment", "cutout", "flip_and_crop"]
