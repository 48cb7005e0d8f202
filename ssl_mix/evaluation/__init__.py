"""How good a network is, and what it makes of images.

Examples follow ``import torch`` and ``from ssl_mix.evaluation import *``.
"""

from ssl_mix.evaluation.accuracy import (
    accuracy,
    mean_class_accuracy,
    predict_logits,
    predict_probabilities,
)
from ssl_mix.evaluation.class_bias import ClassBias, class_bias
from ssl_mix.evaluation.confusion import class_weights, confusion_matrix, macro_f1
from ssl_mix.evaluation.features import plain_features
from ssl_mix.evaluation.intervals import Difference, paired_difference, share_interval

__all__ = [
    "ClassBias",
    "Difference",
    "accuracy",
    "class_bias",
    "class_weights",
    "confusion_matrix",
    "macro_f1",
    "mean_class_accuracy",
    "paired_difference",
    "plain_features",
    "predict_logits",
    "predict_probabilities",
    "share_interval",
]
