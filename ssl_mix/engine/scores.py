"""How good a network is on the test part of a data set."""

import torch
from torch import nn

from ssl_mix.datasets import DataSet
from ssl_mix.evaluation import accuracy, macro_f1, mean_class_accuracy, predict_probabilities


def scores_on_test(net: nn.Module, data: DataSet, device: torch.device) -> dict[str, float]:
    """Accuracy on the test part, of all images and as a mean over classes, and macro F1; nothing where there
    is no such part.

    Args:
        net: on ``device``.
        data: whose test part it is.
        device: where the network is.
    """
    if data.test is None:
        return {}
    answers, labels = (
        predict_probabilities(net, data.test.images, data.augmentation, device),
        data.test.labels,
    )
    return {
        "test_accuracy": accuracy(answers, labels),
        "test_mean_class_accuracy": mean_class_accuracy(answers, labels),
        "test_macro_f1": macro_f1(answers, labels),
    }
