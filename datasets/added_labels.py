"""Labels that are added to those of a data set: the images are the same, more of them are named."""

import dataclasses
from collections.abc import Mapping

from ssl_mix.datasets.data import DataSet
from ssl_mix.datasets.splits import Split, checksum
from ssl_mix.errors import UserError


def with_added_labels(data: DataSet, split: Split) -> DataSet:
    """The data set with the labels that a split adds; the same one where it adds none.

    Raises:
        ValueError: a position is no image to learn from, or a label is none of the classes.

    Examples:
        >>> data = as_dataset((torch.zeros(3, 8, 8, dtype=torch.uint8), ["cat", "dog", ""]))
        >>> split = choose_split(data.train.labels, 2, seed=0, classes=data.classes)
        >>> with_added_labels(data, more_labeled(split, {2: 1})).train.labels
        tensor([0, 1, 1])
    """
    if not split.added:
        return data
    labels = data.train.labels.clone()
    for position, label in split.added:
        if not 0 <= position < len(labels):
            raise UserError(f"the split labels image {position}, and there are {len(labels)} to learn from")
        labels[position] = label
    return dataclasses.replace(data, train=dataclasses.replace(data.train, labels=labels))


def more_labeled(split: Split, labels: Mapping[int, int]) -> Split:
    """The split with more labeled images, which are no unlabeled ones any more, unless all labeled ones are.

    Args:
        split: of before.
        labels: by position of an unlabeled image its class.

    Raises:
        ValueError: a position is not that of an unlabeled image.

    Examples:
        >>> split = choose_split(torch.tensor([0, 0, 1, 1]), 2, per_class=1, seed=0, classes=("cat", "dog"))
        >>> more = more_labeled(split, {split.unlabeled[0]: 0})
        >>> len(more.labeled), len(more.unlabeled), len(more.added)
        (3, 1, 1)
    """
    free = {*split.unlabeled} - {*split.labeled}
    if strange := sorted(labels.keys() - free):
        raise UserError(f"labels are added to unlabeled images, and image {strange[0]} is none of them")
    labeled = tuple(sorted({*split.labeled, *labels}))
    both = {*split.labeled} <= {*split.unlabeled}  # as asked for by include_labeled
    unlabeled = (
        split.unlabeled if both and split.labeled else tuple(i for i in split.unlabeled if i not in labels)
    )
    added = tuple(sorted({**dict(split.added), **labels}.items()))
    return dataclasses.replace(
        split, labeled=labeled, unlabeled=unlabeled, sha256=checksum(labeled), added=added
    )
