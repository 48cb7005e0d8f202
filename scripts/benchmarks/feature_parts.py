"""Data sets of cached features made of another: some of its classes, with the images of the others or
without; and other images to test on."""

import dataclasses

import torch

from ssl_mix.datasets import DataSet, ImageSet
from ssl_mix.datasets.features import FeatureRows, feature_data
from ssl_mix.datasets.splits import ranked
from ssl_mix.runs.features import Features
from ssl_mix.transfer.head_net import standardized


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


def redrawn(features: Features, seed: int) -> Features:
    """The same images, as many of each class to learn from and to test on, drawn anew.

    Args:
        features: of plain views alone.
        seed: of the draw.
    """
    images, test = features.images, features.images.test
    assert test is not None and len(features.table) == len(images.train.images) + len(test.images)
    labels = torch.cat((images.train.labels, test.labels))
    parts: tuple[list[int], list[int]] = ([], [])
    for label in range(len(images.classes)):
        members = ranked(torch.nonzero(labels == label).flatten().tolist(), f"{seed}/redrawn")
        learned = int((images.train.labels == label).sum())
        parts[0].extend(members[:learned])
        parts[1].extend(members[learned:])
    order = torch.tensor(parts[0] + parts[1])
    table, averaged = features.table[order], None if features.averaged is None else features.averaged[order]
    plain = table if averaged is None else averaged
    center = plain[: len(parts[0])].float().mean(dim=0)
    learned_from, tested = (labels[torch.tensor(members)] for members in parts)
    drawn: DataSet = dataclasses.replace(
        images,
        train=dataclasses.replace(images.train, labels=learned_from),
        test=dataclasses.replace(test, labels=tested),
    )
    data = feature_data(drawn, standardized(plain, center).half(), 0)
    return dataclasses.replace(
        features, images=drawn, data=data, table=table, averaged=averaged, center=center
    )
