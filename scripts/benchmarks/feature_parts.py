"""Parts of a data set of cached features: some of its classes, with the images of the others or without."""

import dataclasses

import torch

from ssl_mix.datasets import DataSet, ImageSet
from ssl_mix.datasets.features import FeatureRows
from ssl_mix.runs.features import Features


def of_classes(features: Features, first: int, last: int) -> Features:
    """The classes from ``first`` to before ``last``, with the images of the others for unlabeled ones.

    Args:
        features: of images whose test part is read class by class, as folders are.
        first: of the classes.
        last: behind the last class.
    """
    data = features.data
    assert data.test is not None and isinstance(data.test.images, FeatureRows)
    tested = torch.nonzero((data.test.labels >= first) & (data.test.labels < last)).flatten()
    assert int(tested[-1] - tested[0]) + 1 == len(tested)
    images = data.test.images
    rows = FeatureRows(images.start + images.step * int(tested[0]), len(tested), images.step, images.shape[0])
    labels = data.train.labels
    part: DataSet = dataclasses.replace(
        data,
        classes=data.classes[first:last],
        train=dataclasses.replace(
            data.train, labels=torch.where((labels >= first) & (labels < last), labels - first, -1)
        ),
        test=ImageSet(rows, data.test.labels[tested] - first),
    )
    return dataclasses.replace(features, data=part)
