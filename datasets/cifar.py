"""CIFAR-10 and CIFAR-100 from the files of their authors, read and downloaded by torchvision."""

import warnings
from pathlib import Path
from typing import Literal

import torch
from torchvision import datasets

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets.data import DataSet, ImageSet, files_needed
from ssl_mix.datasets.images import ResidentImages
from ssl_mix.errors import check_choice, checking_kinds

Name = Literal["cifar10", "cifar100"]

SOURCES = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
# Mean and standard deviation in 0..255 as TorchSSL uses them.
STATISTICS = {
    "cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7)),
    "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
}


@checking_kinds
def load_cifar(name: Name, data_dir: Path, *, download: bool = False) -> DataSet:
    """CIFAR-10 or CIFAR-100: 50,000 training and 10,000 test images of 32x32 pixels in 10 or 100 classes.

    Args:
        name: "cifar10" or "cifar100" (its 100 fine classes).
        data_dir: folder that holds, or is to hold, ``cifar-10-batches-py`` or ``cifar-100-python``.
        download: fetch the files if they are not there.

    Raises:
        ValueError: the files are not there or damaged, or the download failed.

    Examples:
        >>> load_cifar("cifar10", Path("data"), download=True)  # doctest: +SKIP
    """
    check_choice("name", name, SOURCES)
    train, classes = _read(name, data_dir, True, download)
    test, _ = _read(name, data_dir, False, download)
    mean, std = (tuple(value / 255 for value in values) for values in STATISTICS[name])
    return DataSet(name, classes, train, test, Augmentation(mean=mean, std=std))


@checking_kinds
def load_cifar10(data_dir: Path, *, download: bool = False) -> DataSet:
    """CIFAR-10: 50,000 training and 10,000 test images of 32x32 pixels in 10 classes.

    Examples:
        >>> load_cifar10(Path("data"), download=True)  # doctest: +SKIP
    """
    return load_cifar("cifar10", data_dir, download=download)


@checking_kinds
def load_cifar100(data_dir: Path, *, download: bool = False) -> DataSet:
    """CIFAR-100: as many images of 32x32 pixels in 100 classes.

    Examples:
        >>> load_cifar100(Path("data"), download=True)  # doctest: +SKIP
    """
    return load_cifar("cifar100", data_dir, download=download)


def _read(name: Name, data_dir: Path, train: bool, download: bool) -> tuple[ImageSet, tuple[str, ...]]:
    source = SOURCES[name]
    by_hand = f"fetch {source.url} by hand and unpack it in {data_dir}"
    with (
        files_needed(name, data_dir, source.base_folder, by_hand, download),
        warnings.catch_warnings(),
    ):
        # NumPy 2.4.0 to 2.4.4 warns of how the NumPy of 2009 pickled these files.
        warnings.filterwarnings("ignore", message=r"dtype\(\): align")
        found = source(str(data_dir), train=train, download=download)
    pixels = torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous()
    return ImageSet(ResidentImages(pixels), torch.tensor(found.targets)), tuple(found.classes)
