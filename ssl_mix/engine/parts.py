"""Whether a split has what an algorithm learns from."""

from ssl_mix.algorithm import Algorithm
from ssl_mix.datasets import Split
from ssl_mix.errors import UserError, check_count


def check_parts(algorithm: Algorithm, split: Split) -> None:
    """Raise where the split lacks what the algorithm needs."""
    name = type(algorithm).__name__
    if not split.labeled:
        raise UserError(f"{name} needs labelled pictures, got none: raise the number of labels")
    if algorithm.unlabeled_views:
        check_count("unlabeled_ratio", algorithm.unlabeled_ratio)
    if algorithm.unlabeled_views and not split.unlabeled:
        raise UserError(
            f"{name} needs unlabelled pictures, and every training picture is labelled: choose fewer labels "
            "(--labels, --label-rate), give a folder of unlabelled pictures (--unlabeled), or train 'supervised' or 'fine-tuning'"
        )
