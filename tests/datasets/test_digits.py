"""The digits of scikit-learn as a data set."""

import hashlib

import numpy as np
import pytest
import torch
from augmentations import augmentation_of
from sklearn.datasets import load_digits

from ssl_mix.datasets import DataSet, ImageSet, load_digits_data


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load_digits_data()


def pixels(part: ImageSet) -> np.ndarray:
    index = torch.arange(len(part.images))
    return next(iter(part.images.batches([index], torch.device("cpu")))).numpy()


def test_gray_levels_fill_a_byte_and_nothing_is_lost(data: DataSet) -> None:
    assert data.test is not None
    found = np.concatenate([pixels(data.train), pixels(data.test)])[:, 0]
    expected = np.rint(load_digits().images / 16 * 255)
    assert found.dtype == np.uint8 and data.train.images.shape == (1, 8, 8)
    assert sorted(map(bytes, found)) == sorted(map(bytes, expected.astype(np.uint8)))


def test_the_test_part_is_stratified_and_the_first_by_hash(data: DataSet) -> None:
    assert data.test is not None
    assert torch.bincount(data.test.labels).tolist() == [36] * 10
    assert len(data.train.labels) == 1797 - 360
    target = load_digits().target

    def rank(position: int) -> str:
        return hashlib.sha256(f"digits/test/{position}".encode()).hexdigest()

    chosen = sorted(i for c in range(10) for i in sorted(np.flatnonzero(target == c), key=rank)[:36])
    assert data.test.labels.tolist() == target[chosen].tolist()
    expected = np.rint(load_digits().images[chosen] / 16 * 255)
    np.testing.assert_array_equal(pixels(data.test)[:, 0], expected)


def test_the_data_never_change(data: DataSet) -> None:
    assert data.fingerprint() == "47824784cc47ec18d06e88d016b52c9ca221afd870ea449978c00712b15cea14"


def test_normalizing_and_augmenting(data: DataSet) -> None:
    values = pixels(data.train) / 255
    augmentation = augmentation_of(data)
    assert augmentation.mean == (round(float(values.mean()), 3),)
    assert augmentation.std == (round(float(values.std()), 3),)
    assert not augmentation.flip and augmentation.padding == 1 and augmentation.geometry == 0.5
    assert data.classes == tuple("0123456789") and not data.notes
