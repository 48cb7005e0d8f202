"""Whether a network is right as often as it is sure: calibration errors."""

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ssl_mix.errors import check_choice, check_count
from ssl_mix.evaluation.confidence import confidences

Binning = Literal["width", "mass"]


class Reliability(NamedTuple):
    """Images put in bins by confidence, from the least to the most; of the bins that have any.

    Attributes:
        number: which of all bins each is, from 0 on, (B,) int64.
        images: of each bin, (B,) int64.
        confidence: mean of their largest probabilities, (B,) float64.
        accuracy: share of them that is right, (B,) float64.

    Examples:
        >>> Reliability(torch.tensor([14]), torch.tensor([3]), torch.tensor([0.9]), torch.tensor([0.6])).gaps
        tensor([0.3000])
    """

    number: Tensor
    images: Tensor
    confidence: Tensor
    accuracy: Tensor

    @property
    def gaps(self) -> Tensor:
        """|accuracy - confidence| of each bin."""
        return (self.accuracy - self.confidence).abs()

    @property
    def weights(self) -> Tensor:
        """Share of the images that is in each bin."""
        return self.images.double() / self.images.sum()

    @property
    def error(self) -> float:
        """The mean of the gaps over the images."""
        return float((self.weights * self.gaps).sum())


def reliability(probs: Tensor, labels: Tensor, *, bins: int = 15, binning: Binning = "width") -> Reliability:
    """What a reliability diagram shows: confidence and accuracy within bins of the confidence, which is the
    largest probability of an image.

    Args:
        probs: (N, C), of any float type and on any device.
        labels: (N,) int64 in [0, C).
        bins: how many, M.
        binning: bins of equal "width", ((m - 1) / M, m / M] with 0 in the first; or of equal "mass": sorted
            by confidence, each gets N / M images, the first ones one more where that is no whole number.
            Images of one confidence that fall into several such bins share their accuracy, so that the order
            of images does not matter.

    Raises:
        ValueError: they are no probabilities, or no labels for them, or there are no bins.

    Examples:
        >>> probs = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.45, 0.55]])
        >>> reliability(probs, torch.tensor([0, 0, 1]), bins=2).accuracy  # all above one half
        tensor([0.6667], dtype=torch.float64)
    """
    check_count("bins", bins)
    check_choice("binning", binning, get_args(Binning))
    confidence, right = confidences(probs, labels)
    if binning == "width":
        return of_equal_width(confidence, right, bins)
    sizes = [len(part) for part in confidence.tensor_split(bins)]
    return _in_bins(torch.arange(bins).repeat_interleave(torch.tensor(sizes)), confidence, right)


def of_equal_width(confidence: Tensor, right: Tensor, bins: int) -> Reliability:
    """:func:`reliability` of confidences (N,) float64 in any order, each right (1) or not (0), (N,) float64,
    in bins of equal width."""
    place = torch.bucketize(confidence, torch.arange(1, bins, dtype=torch.float64) / bins)
    return _in_bins(place, confidence, right)


def _in_bins(place: Tensor, confidence: Tensor, right: Tensor) -> Reliability:
    images = torch.bincount(place)
    number = images.nonzero()[:, 0]
    sums = (torch.bincount(place, weights=values)[number] for values in (confidence, right))
    return Reliability(number, images[number], *(total / images[number] for total in sums))


def expected_calibration_error(
    probs: Tensor, labels: Tensor, *, bins: int = 15, binning: Binning = "width"
) -> float:
    """ECE, ``sum_m n_m / N |accuracy_m - confidence_m|`` over bins of the confidence; from 0, the best, to 1.

    With bins of equal width it is that of Guo et al. (On calibration of modern neural networks, 2017), with
    15 bins as there. Bins of equal mass (Nguyen and O'Connor, 2015) leave none with few images. Codes differ
    in the number of bins (10, 15, 20 and 100 are common) and in whether a confidence at the border of two
    belongs to the lower (here, and Guo et al.) or the upper one (torchmetrics). Published numbers can be
    compared for the same binning alone, and a smaller N makes every one of them larger.

    Args:
        probs: (N, C), of any float type and on any device.
        labels: (N,) int64 in [0, C).
        bins: how many.
        binning: of equal "width" or "mass"; see :func:`reliability`.

    Raises:
        ValueError: see :func:`reliability`.

    Examples:
        >>> probs = torch.tensor([[0.9, 0.1], [0.25, 0.75]])
        >>> round(expected_calibration_error(probs, torch.tensor([0, 0])), 6)  # (|1 - 0.9| + |0 - 0.75|) / 2
        0.425
    """
    return reliability(probs, labels, bins=bins, binning=binning).error


def rms_calibration_error(probs: Tensor, labels: Tensor, *, bins: int = 15) -> float:
    """Root of ``sum_m n_m / N (accuracy_m - confidence_m)^2`` over bins of equal mass; 0 is best, 1 worst.

    The l2 calibration error with adaptive bins of Kumar et al. (Verified uncertainty calibration, 2019),
    which Natural adversarial examples (Hendrycks et al., 2021) and LUMix report for ImageNet-A. Their code
    takes bins of 100 images in place of a number of bins, and some copies of it leave out the last, most
    confident bin; here all count. For their numbers take ``bins=N // 100``. Nothing is subtracted for the
    chance within a bin, as the debiased estimate of Kumar et al. does.

    Args:
        probs: (N, C), of any float type and on any device.
        labels: (N,) int64 in [0, C).
        bins: how many.

    Raises:
        ValueError: see :func:`reliability`.

    Examples:
        >>> probs = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
        >>> error = rms_calibration_error(probs, torch.tensor([0, 0]), bins=2)
        >>> round(error, 4)  # ((0.1^2 + 0.8^2) / 2)^0.5
        0.5701
    """
    found = reliability(probs, labels, bins=bins, binning="mass")
    return float((found.weights * found.gaps**2).sum().sqrt())
