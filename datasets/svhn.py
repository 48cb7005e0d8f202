"""SVHN, house numbers seen from the street, from the files of its authors, read and downloaded by
torchvision."""

from pathlib import Path

import numpy as np
import torch
from torchvision import datasets

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets.data import DataSet, ImageSet, files_needed
from ssl_mix.datasets.images import ResidentImages
from ssl_mix.errors import checking_kinds

FOLDER = "svhn"
# As TorchSSL and USB use them. This deviation is smaller than that of the pixels, which is (0.198, 0.201,
# 0.197).
MEAN, STD = (0.4380, 0.4440, 0.4730), (0.1751, 0.1771, 0.1744)


@checking_kinds
def load_svhn(data_dir: Path, *, download: bool = False, extra: bool = False) -> DataSet:
    """SVHN: 73,257 training and 26,032 test images of 32x32 pixels in 10 classes, the digits.

    Images are not mirrored, since a digit in the mirror is another sign; TorchSSL and USB, whose numbers are
    published, do mirror.

    Args:
        data_dir: folder that holds, or is to hold, ``svhn`` with ``train_32x32.mat`` and ``test_32x32.mat``.
        download: fetch the files that are not there.
        extra: let the training part hold the 531,131 easier images of ``extra_32x32.mat`` too, with their
            labels, as TorchSSL and USB do. They take 1.6 GB of memory, and as much again while they are read.

    Raises:
        ValueError: the files are not there or damaged, or the download failed.

    Examples:
        >>> load_svhn(Path("data"), download=True, extra=True)  # doctest: +SKIP
    """
    names = ("train", "extra") if extra else ("train",)
    train = _image_set([_read(data_dir, name, download) for name in names])
    test = _image_set([_read(data_dir, "test", download)])
    augmentation = Augmentation(mean=MEAN, std=STD, flip=False)
    return DataSet("svhn", tuple("0123456789"), train, test, augmentation)


def _read(data_dir: Path, split: str, download: bool) -> datasets.SVHN:
    url = datasets.SVHN.split_list[split][0]
    with files_needed("svhn", data_dir, FOLDER, f"fetch {url} by hand into {data_dir / FOLDER}", download):
        return datasets.SVHN(str(data_dir / FOLDER), split=split, download=download)


def _image_set(parts: list[datasets.SVHN]) -> ImageSet:
    images = torch.empty((sum(map(len, parts)), 3, 32, 32), dtype=torch.uint8)
    for target, part in zip(torch.split(images, [len(part) for part in parts]), parts, strict=True):
        target.copy_(torch.from_numpy(part.data))  # the file has columns before rows: one copy sets it right
    labels = np.concatenate([np.atleast_1d(part.labels) for part in parts])
    return ImageSet(ResidentImages(images), torch.from_numpy(labels))
