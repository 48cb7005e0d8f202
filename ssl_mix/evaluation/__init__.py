"""How good a network is.

Examples follow ``import torch`` and ``from ssl_mix.evaluation import *``.
"""

from ssl_mix.evaluation.accuracy import accuracy, mean_class_accuracy, predict_probabilities

__all__ = ["accuracy", "mean_class_accuracy", "predict_probabilities"]
