"""How good a network is."""

from ssl_mix.evaluation.accuracy import accuracy, predict_probabilities

__all__ = ["accuracy", "predict_probabilities"]
