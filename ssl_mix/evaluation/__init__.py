"""How good a network is, and what it makes of images.

Examples follow ``import torch`` and ``from ssl_mix.evaluation import *``.
"""

from ssl_mix.evaluation.accuracy import (
    accuracy,
    mean_class_accuracy,
    predict_logits,
    predict_probabilities,
)
from ssl_mix.evaluation.confusion import class_weights, confusion_matrix, macro_f1
from ssl_mix.evaluation.features import plain_features
from ssl_mix.evaluation.segmentation import class_ious, mean_iou, mean_pixel_accuracy, pixel_confusion

__all__ = [
    "accuracy",
    "class_ious",
    "class_weights",
    "confusion_matrix",
    "macro_f1",
    "mean_class_accuracy",
    "mean_iou",
    "mean_pixel_accuracy",
    "pixel_confusion",
    "plain_features",
    "predict_logits",
    "predict_probabilities",
]
