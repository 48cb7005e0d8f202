"""Photographs that come with the package: nothing to download."""

import io
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import torch
from PIL import Image

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets.data import DataSet, ImageSet
from ssl_mix.datasets.images import ResidentImages
from ssl_mix.datasets.pixel_statistics import channel_statistics
from ssl_mix.errors import checking_kinds

ARCHIVE = Path(__file__).with_name("caltech_mini.zip")
SIZE = 128


@checking_kinds
def load_caltech_mini(data_dir: Path | None = None) -> DataSet:
    """450 training and 275 test photographs of 128x128 pixels in 15 classes of Caltech-101.

    The classes are groups that look alike: four birds, three animals with claws, two sailing ships, two
    towers, two lights, two string instruments. Each has 30 training images and 11 to 20 test images. The
    weak view enlarges a random part of each image, as is usual for ImageNet.

    Source: Li, Andreeto, Ranzato, Perona, Caltech 101, CaltechDATA 2022, https://doi.org/10.22002/D1.20086,
    CC BY 4.0; what was changed is told in ``datasets/caltech_mini.txt``.

    Args:
        data_dir: nothing is read from it; all loaders of the registry have one.

    Examples:
        >>> data = load_caltech_mini()
        >>> data.train.images.shape, len(data.train.labels), len(data.test.labels)
        ((3, 128, 128), 450, 275)
    """
    del data_dir
    with ZipFile(ARCHIVE) as archive:
        names = [name for name in archive.namelist() if name.endswith(".webp")]
        classes = tuple(sorted({name.split("/")[1] for name in names}))
        train, test = (_read(archive, names, part, classes) for part in ("train", "test"))
    mean, std = channel_statistics(train.images)
    augmentation = Augmentation(mean=mean, std=std, padding=SIZE // 8, crop="resized")
    return DataSet("caltech-mini", classes, train, test, augmentation)


def _read(archive: ZipFile, names: Sequence[str], part: str, classes: Sequence[str]) -> ImageSet:
    """The images of one part, in the order of the archive."""
    members = [name for name in names if name.startswith(f"{part}/")]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in members])
    labels = torch.tensor([classes.index(name.split("/")[1]) for name in members])
    return ImageSet(ResidentImages(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()), labels)
