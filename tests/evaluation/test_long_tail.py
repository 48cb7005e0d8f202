"""Recalls of classes with many and few labels."""

import numpy as np
import pytest
import torch

from ssl_mix.errors import UserError
from ssl_mix.evaluation import geometric_mean_recall, shot_accuracies

LABELS = torch.arange(60) % 6
DRAW = np.random.default_rng(1)
PROBABILITIES = (
    torch.from_numpy(DRAW.random((60, 7))) + 0.4 * torch.eye(7)[LABELS]
)  # the last class has no image


def recalls() -> list[float]:
    answers = PROBABILITIES.numpy().argmax(axis=1)
    return [float((answers[LABELS.numpy() == c] == c).mean()) for c in range(6)]


def test_the_geometric_mean_is_over_classes_with_images() -> None:
    assert geometric_mean_recall(PROBABILITIES, LABELS) == pytest.approx(np.prod(recalls()) ** (1 / 6))
    never = PROBABILITIES.clone()
    never[:, 2] = -1
    assert geometric_mean_recall(never, LABELS) == 0


def test_groups_follow_the_counts_not_the_order() -> None:
    own = recalls()
    counts = torch.tensor([1, 90, 4, 50, 4, 30, 70])
    found = shot_accuracies(PROBABILITIES, LABELS, counts)
    expected = {"many": own[1], "medium": np.mean([own[3], own[5], own[2]]), "few": np.mean([own[4], own[0]])}
    assert found == pytest.approx(expected)  # of the two with most, one has no image
    two = shot_accuracies(PROBABILITIES[:, :2], LABELS % 2, torch.tensor([5, 1]))
    assert list(two) == ["medium"]


def test_counts_are_one_for_each_class() -> None:
    with pytest.raises(UserError, match=r"class_counts must be a tensor \(7,\), one per class, got \(6,\)"):
        shot_accuracies(PROBABILITIES, LABELS, torch.ones(6))
