"""The head that is sought among whitened features, against a loop in NumPy over images and classes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.transfer.starts import prototypes
from ssl_mix.transfer.whitened import whitened

Array = npt.NDArray[np.float64]
CLASSES, WIDTH = 3, 10
SHRINKAGES, OUTLIER, WEIGHT, SCALE, ROUNDS, PENALTY = (5.0, 20.0), 0.3, 2.0, 20.0, 4, 0.3


def clouds(per_class: int, seed: int, noise: float = 0.7, classes: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Features around class means off the origin, one direction noisier than they lie apart, and labels."""
    centers = torch.randn(classes, WIDTH, generator=torch.Generator().manual_seed(7)) + 2
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(per_class)
    spread = torch.tensor([6.0] + [1.0] * (WIDTH - 1))
    return centers[labels] + noise * spread * torch.randn(len(labels), WIDTH, generator=draws), labels


def right(head: Any, features: Tensor, labels: Tensor) -> float:
    return float((head(features).argmax(1) == labels).float().mean())


def unit(v: Array) -> Array:
    return np.asarray(v / np.sqrt(np.sum(v * v)))


def shares_of(z: Array, y: npt.NDArray[np.int64], shrinkage: float) -> Array:
    """Soft k-means by eigenvectors of the second moment, image by image."""
    moment = sum(np.outer(row, row) for row in z) / len(z)
    values, vectors = np.linalg.eigh(moment)
    root = vectors @ np.diag((values + shrinkage * np.mean(values)) ** -0.5) @ vectors.T
    v = np.stack([unit(root @ row) for row in z])
    known = [[v[i] for i in range(len(y)) if y[i] == c] for c in range(CLASSES)]
    now = [sum(members) / len(members) for members in known]
    found: list[list[float]] = []
    for _ in range(ROUNDS):
        found = []
        for row in v[len(y) :]:
            powers = [np.exp(SCALE * float(row @ unit(w))) for w in now]
            found.append([power / (sum(powers) + np.exp(SCALE * OUTLIER)) for power in powers])
        now = [
            (WEIGHT * sum(known[c]) + sum(p[c] * row for p, row in zip(found, v[len(y) :], strict=True)))
            / (WEIGHT * len(known[c]) + sum(p[c] for p in found))
            for c in range(CLASSES)
        ]
    return np.array(found)


def reference(x: Array, y: npt.NDArray[np.int64], u: Array) -> tuple[Array, Array]:
    """Weights and biases of the logits by least squares over one row an image and class."""
    every = np.concatenate([x, u])
    center = np.mean(every, axis=0)
    z = np.stack([unit(f - center) for f in every])
    spread = np.mean([np.linalg.norm(f - center) for f in every])
    free = np.mean([shares_of(z, y, shrinkage) for shrinkage in SHRINKAGES], axis=0)
    q = np.concatenate([WEIGHT * np.eye(CLASSES)[y], free])
    rows, wanted = [], []
    for i in range(len(z)):
        for c in range(CLASSES):
            h = q[i, c] * q.sum() / (CLASSES * q[:, c].sum())
            rows.append(np.sqrt(h) * np.append(z[i], 1.0))
            wanted.append(np.sqrt(h) * (np.eye(CLASSES)[c] - 1 / CLASSES))
    rows += list(np.sqrt(PENALTY) * np.eye(WIDTH, WIDTH + 1))  # the bias is free
    wanted += [np.zeros(CLASSES)] * WIDTH
    solved = np.linalg.lstsq(np.stack(rows), np.stack(wanted), rcond=None)[0].T
    weight = SCALE / spread * solved[:, :WIDTH]
    return weight, SCALE * solved[:, WIDTH] - weight @ center


@pytest.mark.parametrize("free", [2, 9])  # fewer images in all than numbers of a feature, and more
def test_the_head_is_that_of_a_loop_over_images_and_classes(free: int) -> None:
    features, labels = clouds(1, seed=0)
    unlabeled = clouds(free, seed=1, classes=4)[0] if free > 2 else clouds(free, seed=1)[0]
    found = whitened(features, labels, unlabeled, CLASSES, rounds=ROUNDS)
    weight, bias = reference(features.double().numpy(), labels.numpy(), unlabeled.double().numpy())
    np.testing.assert_allclose(found.weight, weight, rtol=1e-4, atol=1e-5)
    expected = unlabeled.double().numpy() @ weight.T + bias
    np.testing.assert_allclose(found(unlabeled), expected, rtol=1e-4, atol=1e-4)


def test_unlabeled_images_tell_which_direction_is_noise() -> None:
    """Of all directions that of most noise is seen best, and whitening is what takes it away."""
    tested, truth = clouds(60, seed=3)
    ours, theirs = [], []
    for seed in range(10, 14):
        given = *clouds(3, seed), clouds(40, seed + 100)[0], CLASSES
        ours.append(right(whitened(*given, shrinkages=(0.1,)), tested, truth))
        theirs.append(right(prototypes(*given), tested, truth))
    assert np.mean(ours) > np.mean(theirs) + 0.15


def test_a_class_with_most_of_the_unlabeled_images_takes_no_more_than_its_own() -> None:
    """The mean of all images is hers then, and seen from there every image resembles the other class."""
    found = []
    for seed in range(4):
        features, labels = clouds(10, seed, noise=0.4, classes=2)
        free, classes = clouds(60, seed + 100, noise=0.4, classes=2)
        kept = (classes == 0) | (torch.arange(len(classes)) % 30 == 0)
        tested, truth = clouds(100, seed + 200, noise=0.4, classes=2)
        found.append(right(whitened(features, labels, free[kept], 2), tested, truth))
    assert np.mean(found) > 0.96


def test_no_unlabeled_images_leave_a_regression_on_the_labels() -> None:
    features, labels = clouds(6, seed=0, noise=0.2)
    head = whitened(features, labels, features[:0], CLASSES)
    tested, truth = clouds(20, seed=1, noise=0.2)
    assert right(head, tested, truth) > 0.9


def test_a_class_without_labels_is_never_predicted() -> None:
    features, labels = clouds(3, seed=0, noise=0.2)
    for missing in range(CLASSES):
        kept = labels != missing
        head = whitened(features[kept], labels[kept], features, CLASSES)
        assert missing not in head(features).argmax(1) and head.weight[missing].count_nonzero() == 0
        assert right(head, features[kept], labels[kept]) > 0.9
    alone = whitened(features[labels == 1], labels[labels == 1], features, CLASSES)
    assert set(alone(features).argmax(1).tolist()) == {1}


def test_scaling_features_changes_no_answer() -> None:
    features, labels = clouds(2, seed=0)
    free, _ = clouds(9, seed=1)
    small, large = (whitened(s * features, labels, s * free, CLASSES)(s * free) for s in (0.01, 100.0))
    torch.testing.assert_close(small, large, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": torch.full((4, 3), torch.nan)}, "finite"),
        ({"labels": torch.tensor([0, 1, 2, 1])}, "labels"),
        ({"unlabeled": torch.zeros(4, 2)}, "unlabeled"),
        ({"unlabeled": torch.full((4, 3), torch.inf)}, "finite"),
        ({"shrinkages": ()}, "shrinkages"),
        ({"shrinkages": (5.0, 0.0)}, "shrinkages"),
        ({"outlier_cosine": 2.0}, "outlier_cosine"),
        ({"label_weight": 0.0}, "label_weight"),
        ({"scale": -1.0}, "scale"),
        ({"rounds": -1}, "rounds"),
        ({"penalty": 0.0}, "penalty"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {
        "features": torch.zeros(4, 3),
        "labels": torch.tensor([0, 1, 0, 1]),
        "unlabeled": torch.zeros(2, 3),
        "num_classes": 2,
    } | change
    with pytest.raises(UserError, match=words):
        whitened(**given)
