"""How good a network is."""

from ssl_mix.evaluation.accuracy import accuracy, mean_class_accuracy, predict_probabilities

__all__ = ["accuracy", "mean_class_accuracy", "predict_probabilities"]
