"""A data set of features in place of images: every image is the number of a row in a table."""

import dataclasses
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ssl_mix.augment.cached import CachedViews
from ssl_mix.datasets.data import DataSet
from ssl_mix.errors import UserError, counts_of


class FeatureRows:
    """Images that are known by the first of their rows in the table of :class:`CachedViews`.

    Args:
        start: row of the first image.
        count: N, images.
        step: rows of each.
        width: D, columns of the table.
    """

    def __init__(self, start: int, count: int, step: int, width: int) -> None:
        self.start, self.count, self.step = start, count, step
        self.shape: tuple[int, int, int] = (width, 1, 1)

    def __len__(self) -> int:
        return self.count

    def batches(self, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """First rows (n,) int64 on ``device`` for each index tensor (n,), in order."""
        for index in indices:
            yield (self.start + self.step * index).to(device, non_blocking=True)


def feature_data(data: DataSet, table: Tensor, count: int) -> DataSet:
    """The data set with features for its images: labels, files, classes and order are as they were.

    Args:
        data: of images.
        table: (R, D) features; V = 1 + 2 ``count`` rows for each training image (plain, weak ones, strong
            ones), then one for each test image.
        count: K, weak views of each image, and strong ones.

    Raises:
        ValueError: the table has another number of rows.
    """
    views, images = 1 + 2 * count, len(data.train.images)
    tested = 0 if data.test is None else len(data.test.images)
    if len(table) != views * images + tested:
        raise UserError(
            f"expected {counts_of(views * images + tested, 'row')} of features, {views} for each of "
            f"{counts_of(images, 'image')} to learn from and one for each of {tested} to test on, got "
            f"{len(table)}"
        )
    train = FeatureRows(0, images, views, table.shape[1])
    test = None
    if data.test is not None:
        rows = FeatureRows(views * images, tested, 1, table.shape[1])
        test = dataclasses.replace(data.test, images=rows)
    return dataclasses.replace(
        data,
        train=dataclasses.replace(data.train, images=train),
        test=test,
        augmentation=CachedViews(table, count),
        own_views=None,
    )
