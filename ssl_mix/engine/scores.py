"""How good a network is on the parts of a data set, as numbers by name."""

import torch
from torch import nn

from ssl_mix.datasets import DataSet, Split
from ssl_mix.evaluation import accuracy, mean_class_accuracy, predict_probabilities


def test_scores(net: nn.Module, data: DataSet, device: torch.device) -> dict[str, float]:
    """Accuracy on the test part, of all pictures and as a mean over classes; nothing where there is no such part."""
    if data.test is None:
        return {}
    said = predict_probabilities(net, data.test.images, data.augmentation, device)
    labels = data.test.labels
    return {
        "test_accuracy": accuracy(said, labels),
        "test_mean_class_accuracy": mean_class_accuracy(said, labels),
    }


def validation_accuracy(net: nn.Module, data: DataSet, split: Split, device: torch.device) -> float:
    """Accuracy on the pictures that the split holds out."""
    held_out = torch.tensor(split.validation)
    said = predict_probabilities(net, data.train.images, data.augmentation, device, indices=held_out)
    return accuracy(said, data.train.labels[held_out])
