"""Which images to label next, and which labels are probably wrong."""

from ssl_mix.labeling.badge import badge
from ssl_mix.labeling.k_means_plus_plus import Chosen, diverse
from ssl_mix.labeling.methods import METHODS, Pool, default_method, suggest
from ssl_mix.labeling.outliers import outlier_scores
from ssl_mix.labeling.typiclust import typiclust
from ssl_mix.labeling.uncertainty import entropy, margin
from ssl_mix.labeling.wrong_labels import WrongLabels, out_of_sample, wrong_labels

__all__ = [
    "METHODS",
    "Chosen",
    "Pool",
    "WrongLabels",
    "badge",
    "default_method",
    "diverse",
    "entropy",
    "margin",
    "out_of_sample",
    "outlier_scores",
    "suggest",
    "typiclust",
    "wrong_labels",
]
