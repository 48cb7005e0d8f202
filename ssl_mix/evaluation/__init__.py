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
from ssl_mix.evaluation.bootstrap import bootstrap_intervals
from ssl_mix.evaluation.calibration import (
    Reliability,
    expected_calibration_error,
    reliability,
    rms_calibration_error,
)
from ssl_mix.evaluation.class_bias import ClassBias, class_bias
from ssl_mix.evaluation.confusion import class_weights, confusion_matrix, macro_f1
from ssl_mix.evaluation.corruption_error import corruption_errors
from ssl_mix.evaluation.corruptions import CORRUPTIONS, corrupt
from ssl_mix.evaluation.features import plain_features
from ssl_mix.evaluation.intervals import Difference, paired_difference, share_interval
from ssl_mix.evaluation.long_tail import geometric_mean_recall, shot_accuracies
from ssl_mix.evaluation.mixed import MixedAnswers, equivariance_error, mixed_answers
from ssl_mix.evaluation.out_of_distribution import energy, max_logit, max_softmax, ood_metrics
from ssl_mix.evaluation.patches import patch_drop, patch_shuffle
from ssl_mix.evaluation.scoring import brier_score, negative_log_likelihood
from ssl_mix.evaluation.segmentation import class_ious, mean_iou, mean_pixel_accuracy, pixel_confusion
from ssl_mix.evaluation.selective import aurra, response_accuracy
from ssl_mix.evaluation.temperature import Temperature, fit_temperature
from ssl_mix.evaluation.top_k import top_k_accuracy

__all__ = [
    "CORRUPTIONS",
    "ClassBias",
    "Difference",
    "MixedAnswers",
    "Reliability",
    "Temperature",
    "accuracy",
    "attention_masks",
    "aurra",
    "bootstrap_intervals",
    "box_iou",
    "boxes_of_masks",
    "brier_score",
    "class_bias",
    "class_ious",
    "class_weights",
    "confusion_matrix",
    "corrupt",
    "corruption_errors",
    "energy",
    "equivariance_error",
    "expected_calibration_error",
    "fit_temperature",
    "geometric_mean_recall",
    "jaccard_index",
    "macro_f1",
    "max_logit",
    "max_softmax",
    "mean_class_accuracy",
    "mean_iou",
    "mean_pixel_accuracy",
    "mixed_answers",
    "negative_log_likelihood",
    "ood_metrics",
    "paired_difference",
    "patch_drop",
    "patch_shuffle",
    "pixel_confusion",
    "plain_features",
    "predict_logits",
    "predict_probabilities",
    "reliability",
    "response_accuracy",
    "rms_calibration_error",
    "share_interval",
    "shot_accuracies",
    "top_k_accuracy",
]
