"""What a trained run says of images."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor


class PredictedLabel(NamedTuple):
    """The pseudo-label of one image.

    Attributes:
        position: of the image among those that the run was trained on.
        predicted: name of the class.
        confidence: its probability when it was predicted.
        passed: whether it counted in the loss then, by the threshold of its algorithm; None where that has
            none and every pseudo-label counts.
    """

    position: int
    predicted: str
    confidence: float
    passed: bool | None


class Predictions(NamedTuple):
    """Class probabilities of files.

    Attributes:
        files: all, each once, in the order in which they were given.
        probabilities: of those that could be read, (N, C) float32.
        broken: files that could not, each with the reason.
        notes: what the user must be told of the others.
        rejected: which of those that could be read are of no class, (N,) bool; None where nobody asked.
    """

    files: list[Path]
    probabilities: Tensor
    broken: list[tuple[Path, str]]
    notes: tuple[str, ...]
    rejected: Tensor | None = None
