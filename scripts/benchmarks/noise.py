"""Random images to train on: timing does not depend on what they show."""

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.augment import Augmentation
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages


class Noise(NamedTuple):
    """32 x 32 images (N, 3, 32, 32) uint8 and their labels (N,)."""

    images: Tensor
    labels: Tensor


def make_noise(count: int, classes: int = 10) -> Noise:
    """As many images of every class as of any other."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Noise(images, torch.arange(count) % classes)


def noise_data(noise: Noise, classes: int = 10) -> DataSet:
    """Noise as a data set without a test part."""
    augmentation = Augmentation(mean=(0.49, 0.48, 0.45), std=(0.25, 0.24, 0.26))
    images = ImageSet(ResidentImages(noise.images), noise.labels)
    return DataSet("noise", tuple(map(str, range(classes))), images, None, augmentation, ())
