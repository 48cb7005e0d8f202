"""What a test asks of the augmentation of a data set."""

from ssl_mix.augment import Augmentation
from ssl_mix.datasets import DataSet


def augmentation_of(data: DataSet) -> Augmentation:
    """Its augmentation, which makes views of pixels and does not look them up."""
    assert isinstance(data.augmentation, Augmentation)
    return data.augmentation
