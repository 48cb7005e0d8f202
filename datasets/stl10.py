"""STL-10, made for learning from few labels, from the files of its authors, read and downloaded by
torchvision."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import datasets

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets.data import DataSet, ImageSet, files_needed
from ssl_mix.datasets.images import ResidentImages
from ssl_mix.errors import UserError, checking_kinds

SIDE, MIN_SIDE = 96, 8
CHUNK = 1000
# Mean and standard deviation in 0..255 as TorchSSL and USB use them.
MEAN, STD = (112.4, 109.1, 98.6), (68.4, 66.6, 68.5)


@checking_kinds
def load_stl10(data_dir: Path, *, download: bool = False, image_size: int = SIDE) -> DataSet:
    """STL-10: 5,000 labeled, 100,000 unlabeled and 8,000 test images of 96x96 pixels in 10 classes.

    The training part holds the labeled images first, then the others, whose label is -1: nobody knows it, and
    some show things of no class. A split chooses its labels among the 5,000 and leaves the rest of them in
    the unlabeled part, as the benchmarks do. Reading takes about 6 GB of memory, keeping 3 GB at 96 pixels.

    Args:
        data_dir: folder that holds, or is to hold, ``stl10_binary``.
        download: fetch the files if they are not there.
        image_size: side in pixels that images are resized to, at least 8. The published tables (TorchSSL,
            USB) are of 96; smaller ones are resampled with an antialiased bicubic filter. The weak view moves
            images by up to an eighth of it.

    Raises:
        ValueError: the size is too small, the files are not there or damaged, or the download failed.

    Examples:
        >>> load_stl10(Path("data"), download=True)  # doctest: +SKIP
    """
    if image_size < MIN_SIDE:
        raise UserError(f"image_size must be at least {MIN_SIDE}, got {image_size}")
    train, classes = _read(data_dir, "train+unlabeled", download, image_size)
    test, _ = _read(data_dir, "test", download, image_size)
    mean, std = (tuple(value / 255 for value in values) for values in (MEAN, STD))
    augmentation = Augmentation(mean=mean, std=std, padding=image_size // 8)
    return DataSet("stl10", classes, train, test, augmentation)


def _read(data_dir: Path, split: str, download: bool, size: int) -> tuple[ImageSet, tuple[str, ...]]:
    source = datasets.STL10
    by_hand = f"fetch {source.url} by hand and unpack it in {data_dir}"
    with files_needed("stl10", data_dir, source.base_folder, by_hand, download):
        found = source(str(data_dir), split=split, download=download)
        labels = torch.from_numpy(found.labels.astype(np.int64))
        classes = tuple(found.classes)
    return ImageSet(ResidentImages(_resized(torch.from_numpy(found.data), size)), labels), classes


def _resized(pixels: Tensor, size: int) -> Tensor:
    """A contiguous copy at (size, size); the file has columns before rows, so that one copy is needed
    anyway."""
    images = torch.empty((len(pixels), 3, size, size), dtype=torch.uint8)
    for target, part in zip(torch.split(images, CHUNK), torch.split(pixels, CHUNK), strict=True):
        if size != SIDE:
            part = F.interpolate(part.contiguous(), (size, size), mode="bicubic", antialias=True)
        target.copy_(part)
    return images
