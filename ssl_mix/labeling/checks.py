"""What functions of features, probabilities and labels take."""

import torch
from torch import Tensor

from ssl_mix.datasets.label_range import check_label_range
from ssl_mix.errors import UserError


def check_features(features: Tensor, name: str = "features") -> None:
    """Raise unless they are finite (N, D) floats, called ``name``."""
    _check_table(features, name, "(N, D)")
    if not bool(features.isfinite().all()):
        raise UserError(f"{name} must be finite, and some are NaN or infinite: are these the right weights?")


def check_known(known: Tensor, features: Tensor) -> None:
    """Raise unless features of labeled images are as wide as those (N, D) of others."""
    check_features(known, "known")
    if known.shape[1] != features.shape[1]:
        raise UserError(
            f"features and known must be of one width, got {features.shape[1]} and {known.shape[1]}"
        )


def check_probabilities(probabilities: Tensor) -> None:
    """Raise unless they are (N, C) floats in [0, 1] of at least one class."""
    _check_table(probabilities, "probabilities", "(N, C)")
    if probabilities.shape[1] == 0:
        raise UserError(f"probabilities must be of one class at least, got {tuple(probabilities.shape)}")
    if not bool(((probabilities >= 0) & (probabilities <= 1)).all()):
        raise UserError("probabilities must lie in [0, 1], and some do not: give those after the softmax")


def check_labels(labels: Tensor, of: Tensor, num_classes: int, name: str) -> None:
    """Raise unless labels are int64 (N,) in [0, C), one for each row of ``of``, which is called ``name``."""
    _check_tensor(labels, "labels")
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise UserError(f"labels must be int64 (N,), got {labels.dtype} {tuple(labels.shape)}")
    check_label_range(labels, num_classes, "labels", unknown=False)
    if len(labels) != len(of):
        raise UserError(f"expected as many labels as {name}, got {len(labels)} and {len(of)}")


def _check_table(given: Tensor, name: str, shape: str) -> None:
    _check_tensor(given, name)
    if given.ndim != 2 or not given.is_floating_point():
        raise UserError(f"{name} must be float {shape}, got {given.dtype} {tuple(given.shape)}")


def _check_tensor(given: Tensor, name: str) -> None:
    if not isinstance(given, Tensor) or given.is_meta or given.layout != torch.strided:
        kind = "one without values, or a sparse one" if isinstance(given, Tensor) else type(given).__name__
        raise UserError(f"{name} must be a tensor, got {kind}")
