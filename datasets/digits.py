"""The handwritten digits that come with scikit-learn: nothing to download, seconds to train on."""

from pathlib import Path

import numpy as np
import torch

from ssl_mix.augment.views import Augmentation
from ssl_mix.datasets.data import DataSet, ImageSet
from ssl_mix.datasets.images import ResidentImages
from ssl_mix.datasets.pixel_statistics import channel_statistics
from ssl_mix.datasets.splits import ranked
from ssl_mix.errors import checking_kinds
from ssl_mix.imported import imported

TEST_PER_CLASS = 36


@checking_kinds
def load_digits_data(data_dir: Path | None = None) -> DataSet:
    """1,437 training and 360 test images of 8x8 gray pixels in 10 classes, inside scikit-learn.

    Gray levels 0..16 become 0..255. The test part is the same for everybody: of each class the 36 images
    that come first by the SHA-256 of ``digits/test/position``. Images are augmented gently: no flip (it
    makes other signs), one pixel of shift, geometric operations at half strength.

    Args:
        data_dir: nothing is read from it; all loaders of the registry have one.

    Examples:
        >>> data = load_digits_data()
        >>> data.train.images.shape, len(data.train.labels), len(data.test.labels)
        ((1, 8, 8), 1437, 360)
    """
    del data_dir
    bunch = imported("sklearn.datasets").load_digits()
    images = torch.from_numpy(np.rint(bunch.images * (255 / 16)).astype(np.uint8))[:, None]
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    is_test = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(10):
        members = torch.nonzero(labels == label).flatten().tolist()
        is_test[ranked(members, "digits/test")[:TEST_PER_CLASS]] = True
    train, test = (ImageSet(ResidentImages(images[part]), labels[part]) for part in (~is_test, is_test))
    mean, std = channel_statistics(train.images)
    augmentation = Augmentation(mean=mean, std=std, flip=False, padding=1, geometry=0.5)
    return DataSet("digits", tuple("0123456789"), train, test, augmentation)
