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
        passed: whether it counted in the loss then.
    """

    position: int
    predicted: str
    confidence: float
    passed: bool


class Predictions(NamedTuple):
    """Class probabilities of files.

    Attributes:
        files: that could be read.
        probabilities: (N, C) float32.
        broken: files that could not, each with the reason.
    """

    files: list[Path]
    probabilities: Tensor
    broken: list[tuple[Path, str]]
