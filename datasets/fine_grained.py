"""What the data sets of fine-grained transfer share: pictures in files, and how they are seen."""

import dataclasses
from collections.abc import Iterable
from os import PathLike
from pathlib import Path

from ssl_mix.datasets.assembly import Listing
from ssl_mix.datasets.data import DataSet

IMAGE_SIZE = 224


def as_fine_grained(name: str, data: DataSet) -> DataSet:
    """Give pictures from files their data set's name, and a weak view that enlarges a random part, as is usual for ImageNet.

    Args:
        name: of the data set.
        data: from a folder or from listings.
    """
    augmentation = dataclasses.replace(data.augmentation, crop="resized")
    return dataclasses.replace(data, name=name, augmentation=augmentation)


def listing(files: Iterable[str | PathLike[str]], labels: Iterable[int]) -> Listing:
    """Files and labels as torchvision or an annotation file has them.

    Args:
        files: paths.
        labels: as many whole numbers of any type, from 0.
    """
    return Listing([Path(file) for file in files], [int(label) for label in labels])
