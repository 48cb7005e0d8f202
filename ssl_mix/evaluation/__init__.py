"""How good a network is, and what it makes of images.

Examples follow ``import torch`` and ``from ssl_mix.evaluation import *``.
"""

from ssl_mix.evaluation.accuracy import (
    accuracy,
    mean_class_accuracy,
    predict_logits,
    predict_probabilities,
)
from ssl_mix.evaluation.attention import attention_masks, box_iou, boxes_of_masks, jaccard_index
from ssl_mix.evaluation.confusion import class_weights, confusion_matrix, macro_f1
from ssl_mix.evaluation.corruption_error import corruption_errors
from ssl_mix.evaluation.corruptions import CORRUPTIONS, corrupt
from ssl_mix.evaluation.features import plain_features
from ssl_mix.evaluation.mixed import MixedAnswers, equivariance_error, mixed_answers
from ssl_mix.evaluation.patches import patch_drop, patch_shuffle

__all__ = [
    "CORRUPTIONS",
    "MixedAnswers",
    "accuracy",
    "attention_masks",
    "box_iou",
    "boxes_of_masks",
    "class_weights",
    "confusion_matrix",
    "corrupt",
    "corruption_errors",
    "equivariance_error",
    "jaccard_index",
    "macro_f1",
    "mean_class_accuracy",
    "mixed_answers",
    "patch_drop",
    "patch_shuffle",
    "plain_features",
    "predict_logits",
    "predict_probabilities",
]
