"""A data set some of whose classes nobody has labeled: their images are there, without a name."""

import dataclasses
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ssl_mix.datasets.data import UNKNOWN, DataSet, ImageSet
from ssl_mix.datasets.images import ImageSource
from ssl_mix.errors import UserError, check_not_negative


class Subset:
    """Some of the images of a source, in the order of their ``positions`` (n,) int64."""

    def __init__(self, source: ImageSource, positions: Tensor) -> None:
        self.source, self.positions, self.shape = source, positions, source.shape

    def __len__(self) -> int:
        return len(self.positions)

    def batches(self, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """See ``ImageSource``."""
        return self.source.batches((self.positions[index] for index in indices), device)


def with_unknown_classes(data: DataSet, count: int) -> DataSet:
    """The data set without the names of its last ``count`` classes; the same one for 0.

    Images of them stay among those to learn from, without a label and marked as ``foreign``; in the test part
    there are none.

    Raises:
        ValueError: fewer than two classes remain, or ``count`` is negative.

    Examples:
        >>> data = with_unknown_classes(load_digits_data(), 4)
        >>> data.classes, int(data.train.foreign.sum()), len(data.test.labels)
        (('0', '1', '2', '3', '4', '5'), 570, 216)
    """
    check_not_negative("unknown_classes", count)
    if count == 0:
        return data
    known = len(data.classes) - count
    if known < 2:
        raise UserError(
            f"`unknown_classes={count}` of {len(data.classes)} classes leaves fewer than two to tell apart: "
            f"take {max(0, len(data.classes) - 2)} at most"
        )
    foreign = data.train.labels >= known
    labels = torch.where(foreign, UNKNOWN, data.train.labels)
    test = None if data.test is None else _part(data.test, torch.nonzero(data.test.labels < known)[:, 0])
    return dataclasses.replace(
        data,
        classes=data.classes[:known],
        train=dataclasses.replace(data.train, labels=labels, foreign=foreign),
        test=test,
    )


def _part(images: ImageSet, kept: Tensor) -> ImageSet:
    """Some of the images, in order."""
    if not len(kept):
        raise UserError(
            "no test image is of a known class: take fewer `unknown_classes`, or leave out `test`"
        )
    names, digests = (
        None if given is None else tuple(given[i] for i in kept.tolist())
        for given in (images.files, images.digests)
    )
    return ImageSet(Subset(images.images, kept), images.labels[kept], names, digests)
