"""Labels that are probably wrong, by what a classifier says of each image whose label it has not seen."""

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.labeling.checks import check_features, check_labels, check_probabilities
from ssl_mix.labeling.uncertainty import highest
from ssl_mix.randomness import stream_generator
from ssl_mix.transfer.starts import probe

FOLDS = 5


class WrongLabels(NamedTuple):
    """What is wrong with labels (N,).

    Attributes:
        suspicious: whether a label is probably wrong, (N,) bool.
        suggested: the likeliest class, of suspicious images the likeliest other one, (N,) int64.
        scores: ``1 - p_y`` with the probability of the label, (N,) in [0, 1].
    """

    suspicious: Tensor
    suggested: Tensor
    scores: Tensor


def out_of_sample(
    features: Tensor, labels: Tensor, num_classes: int, *, folds: int = FOLDS, seed: int = 0
) -> Tensor:
    """Class probabilities of each image by logistic regression on the others, (N, C) float32.

    The images of each class are spread over the folds by chance; each fold is predicted by
    :func:`ssl_mix.transfer.starts.probe` on the other folds. A class with one image is unknown to the
    classifier of that image.

    Args:
        features: (N, D) float.
        labels: (N,) int64 in [0, C).
        num_classes: C.
        folds: how many parts; at most as many as the largest class has images.
        seed: of the parts.

    Raises:
        ValueError: a shape or a label is wrong, or no class has two images.
    """
    check_features(features)
    check_labels(labels, features, num_classes, "features")
    counts = torch.bincount(labels, minlength=num_classes)
    if not len(labels) or int(counts.max()) < 2:
        raise UserError("labels are judged by other images of their class, and no class has two")
    parts = parts_of(labels, min(folds, int(counts.max())), seed)
    found = torch.zeros(len(labels), num_classes)
    for part in sorted({*parts.tolist()}):
        held = parts == part
        head = probe(features[~held], labels[~held], num_classes, seed=seed)
        found[held] = head(features[held].float()).softmax(dim=1)
    return found


def parts_of(labels: Tensor, folds: int, seed: int) -> Tensor:
    """The fold of each image, (N,): those of a class are spread as evenly as can be, beginning anywhere."""
    generator = stream_generator(seed, "folds")
    parts = torch.empty_like(labels)
    for label in sorted({*labels.tolist()}):
        members = torch.nonzero(labels == label)[:, 0]
        start = int(torch.randint(folds, (), generator=generator))
        parts[members[torch.randperm(len(members), generator=generator)]] = (
            torch.arange(len(members)) + start
        ) % folds
    return parts


def wrong_labels(probabilities: Tensor, labels: Tensor) -> WrongLabels:
    """Confident learning says how many labels are wrong, and those with the smallest probability are taken.

    Class j has the threshold ``t_j``, the mean of ``p_j`` over the images with label j. An image counts as
    one of the likeliest class among those with ``p_j >= t_j``. The number of images that count as one of
    another class than their label, and whose label is not the likeliest class of all either, is the number of
    suspicious labels. A class with one image has no threshold, and its label is never suspicious: nothing is
    known of it.

    Args:
        probabilities: out of sample, (N, C).
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: a shape or a value is wrong.

    Source: Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR 2021), the
    off-diagonal of the confident joint, ranked by self-confidence: ``filter_by="low_self_confidence"`` of
    cleanlab.
    """
    check_probabilities(probabilities)
    check_labels(labels, probabilities, probabilities.shape[1], "probabilities")
    p, given = probabilities.double(), labels[:, None]
    own, likeliest = p.gather(1, given)[:, 0], p.argmax(dim=1)
    judged = torch.bincount(labels, minlength=p.shape[1])[labels] > 1
    scores = torch.where(judged, 1 - own, -1.0)
    count = int((counted_as_others(p, labels) & (likeliest != labels) & judged).sum())
    suspicious = torch.zeros_like(judged)
    if count:
        suspicious[highest(scores, count)] = True
    others = p.scatter(1, given, -1.0).argmax(dim=1)
    return WrongLabels(suspicious, torch.where(suspicious, others, likeliest), (1 - own).float())


def counted_as_others(p: Tensor, labels: Tensor) -> Tensor:
    """Whether images are off the diagonal of the confident joint, (N,) bool, see :func:`wrong_labels`."""
    counts = torch.bincount(labels, minlength=p.shape[1])
    own = p.gather(1, labels[:, None])[:, 0]
    sums = p.new_zeros(p.shape[1]).index_add_(0, labels, own)
    thresholds = torch.where(counts > 1, sums / counts.clamp(min=1), float("inf"))
    sure, counted = torch.where(p >= thresholds - 1e-9, p, -1.0).max(dim=1)
    return (sure >= 0) & (counted != labels)
