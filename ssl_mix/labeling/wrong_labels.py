"""Labels that are probably wrong, by what a classifier says of each image whose label it has not seen."""

from typing import NamedTuple

import torch
from torch import Tensor

from ssl_mix.datasets.label_range import check_label_range
from ssl_mix.errors import UserError
from ssl_mix.labeling.uncertainty import check_probabilities
from ssl_mix.randomness import stream_generator
from ssl_mix.transfer.starts import probe

FOLDS = 5


class WrongLabels(NamedTuple):
    """What is wrong with labels (N,).

    Attributes:
        suspicious: whether confident learning takes the image for one of another class, (N,) bool.
        suggested: the class that it takes it for, elsewhere the likeliest one, (N,) int64.
        scores: ``1 + max_{j != y} p_j - p_y`` halved, (N,) in [0, 1], 1 where another class is certain.
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
    check_label_range(labels, num_classes, "labels", unknown=False)
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
    """Confident learning: images that are confidently of another class than their label.

    Class j has the threshold ``t_j``, the mean of ``p_j`` over the images with label j. An image counts as
    one of the likeliest class among those with ``p_j >= t_j``; where that is not its label, and its label is
    not the likeliest class of all either, the label is suspicious. A class with fewer than two images has no
    threshold, and its label is never suspicious: nothing is known of it.

    Args:
        probabilities: out of sample, (N, C).
        labels: (N,) int64 in [0, C).

    Raises:
        ValueError: a shape or a value is wrong.

    Source: Northcutt et al., "Confident Learning: Estimating Uncertainty in Dataset Labels" (JAIR 2021),
    off-diagonal of the confident joint. Differs in classes of one image alone.
    """
    check_probabilities(probabilities)
    check_label_range(labels, probabilities.shape[1], "labels", unknown=False)
    if len(labels) != len(probabilities):
        raise UserError(
            f"expected as many labels as probabilities, got {len(labels)} and {len(probabilities)}"
        )
    p, given = probabilities.double(), labels[:, None]
    own = p.gather(1, given)
    counts = torch.bincount(labels, minlength=p.shape[1])
    sums = p.new_zeros(p.shape[1]).index_add_(0, labels, own[:, 0])
    known = counts > 1
    thresholds = torch.where(known, sums / counts.clamp(min=1), float("inf"))
    confident = torch.where(p >= thresholds - 1e-9, p, -1.0)
    sure, counted = confident.max(dim=1)
    likeliest = p.argmax(dim=1)
    suspicious = (sure >= 0) & (counted != labels) & (likeliest != labels) & known[labels]
    others = p.scatter(1, given, -1.0)
    best = others.amax(dim=1).clamp(min=0)
    suggested = torch.where(suspicious, counted, likeliest)
    return WrongLabels(suspicious, suggested, ((1 + best - own[:, 0]) / 2).float())
