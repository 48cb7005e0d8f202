"""How good a network is, and what it makes of images."""

from ssl_mix.evaluation.accuracy import accuracy, mean_class_accuracy, predict_probabilities
from ssl_mix.evaluation.features import plain_features

__all__ = ["accuracy", "mean_class_accuracy", "plain_features", "predict_probabilities"]
