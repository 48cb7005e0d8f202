"""Data in a form that is not read: each place that takes data says what to hand over instead."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, RandomSampler, TensorDataset

import ssl_mix
from ssl_mix.algorithms import Supervised
from ssl_mix.datasets import DataSet, ImageSet, ResidentImages, as_dataset, choose_split, tensor_data
from ssl_mix.errors import UserError
from ssl_mix.evaluation import plain_features, predict_logits

IMAGES = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 0, 1])
DATASET = TensorDataset(IMAGES, LABELS)
LOADER = DataLoader(DATASET, batch_size=2)
DATA = as_dataset((IMAGES, LABELS))
CPU = torch.device("cpu")


@pytest.mark.parametrize("where", ["labeled", "unlabeled", "test"])
@pytest.mark.parametrize(
    ("given", "told"),
    [
        (LOADER, "got DataLoader: hand over its .dataset, for batches are drawn here"),
        (iter(LOADER), r"got _SingleProcessDataLoaderIter: list\(...\) of it"),
        ((DATASET[n] for n in range(4)), r"got generator: list\(...\) of it"),
        (RandomSampler(DATASET), "got RandomSampler: hand over the Dataset that it draws from"),
        (nn.Linear(2, 2), "got Linear: a network goes to `net`"),
        (Dataset, r"got the class Dataset: call it, Dataset\(...\)"),
        ({"train": DATASET, "test": DATASET}, r"got dict: hand over one of its values \(train, test\)"),
        (b"images", "got bytes: for instance the path of a folder"),
        (3, "got int: for instance the path of a folder"),
        ([1, 2], "got a list with int: for instance the path of a folder"),
        ([LOADER, LOADER], "got a list with DataLoader: hand over its .dataset"),
        ([IMAGES, IMAGES, IMAGES], r"got Tensor of shape \(4, 3, 8, 8\): torch.cat joins batches"),
    ],
    ids=lambda given: None if isinstance(given, str) else type(given).__name__,
)
def test_a_part_of_the_data(where: str, given: Any, told: str) -> None:
    parts = {"labeled": (IMAGES, LABELS), where: given}
    with pytest.raises(UserError, match=f"{where}.*: expected .*{told}") as caught:
        as_dataset(**parts, workers=0)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: ssl_mix.fit("fixmatch", LOADER), "labeled: .* got DataLoader: hand over its .dataset"),
        (lambda: ssl_mix.auto(LOADER, minutes=1), "labeled: .* got DataLoader: hand over its .dataset"),
        (
            lambda: ssl_mix.Trainer(Supervised(), nn.Flatten(), LOADER, None),  # type: ignore[arg-type]
            "data must be a DataSet, got DataLoader: .*as_dataset makes one .* DataLoader's .dataset",
        ),
        (
            lambda: ssl_mix.Trainer(Supervised(), nn.Flatten(), [IMAGES, LABELS], None),  # type: ignore[arg-type]
            "data must be a DataSet, got list: .*as_dataset makes one of folders, lists",
        ),
        (
            lambda: ssl_mix.SemiSupervisedClassifier().fit(LOADER, None),
            "X must hold images, .* got DataLoader: ssl_mix.fit takes folders, lists and Datasets",
        ),
        (
            lambda: ssl_mix.SemiSupervisedClassifier().fit([np.zeros((8, 8)), np.zeros((4, 4))], [0, 1]),
            "X must hold images, .* got list: ssl_mix.fit takes",
        ),
        (lambda: tensor_data(LOADER), r"labeled: expected \(X, y\), .* got DataLoader"),  # type: ignore[arg-type]
        (
            lambda: tensor_data((torch.zeros(2, 3), [0, 1]), test=LOADER),  # type: ignore[arg-type]
            r"test: expected \(X, y\), .* got DataLoader: those of a TensorDataset are its .tensors",
        ),
        (
            lambda: tensor_data((torch.zeros(2, 3), [0, 1]), LOADER),
            "expected numbers .* got DataLoader .* those of a TensorDataset are its .tensors",
        ),
        (lambda: ResidentImages([[1]]), "images: expected an array or a tensor, got list: .*as_dataset"),
        (lambda: ImageSet(IMAGES, LABELS), "images must be an ImageSource, got Tensor: .*ResidentImages"),  # type: ignore[arg-type]
        (
            lambda: DataSet("mine", ("a", "b"), DATASET, None, DATA.augmentation),  # type: ignore[arg-type]
            r"parts of a DataSet must be ImageSets, got TensorDataset: .*as_dataset\(\(images, labels",
        ),
        (
            lambda: choose_split([0, 1], 2, seed=0, classes=("a", "b")),  # type: ignore[arg-type]
            "labels must be a Tensor, got list",
        ),
        (
            lambda: predict_logits(nn.Flatten(), IMAGES, DATA.augmentation, CPU),  # type: ignore[arg-type]
            "images must be an ImageSource, got Tensor",
        ),
        (
            lambda: plain_features(nn.Flatten(), LOADER, DATA.augmentation, CPU),  # type: ignore[arg-type]
            "images must be an ImageSource, got DataLoader",
        ),
    ],
)
def test_each_door(call: Callable[[], Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        call()
