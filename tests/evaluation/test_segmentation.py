"""Scores of pixels against loops over them, scikit-learn, and sums worked out by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, recall_score

from ssl_mix.errors import UserError
from ssl_mix.evaluation import class_ious, mean_iou, mean_pixel_accuracy, pixel_confusion


def by_hand(predicted: np.ndarray, truth: np.ndarray, classes: int) -> tuple[list[list[int]], float, float]:
    """Confusion, mIoU and mAcc by loops in float64, void left out."""
    counts = [[0] * classes for _ in range(classes)]
    for guess, label in zip(predicted.flatten().tolist(), truth.flatten().tolist(), strict=True):
        if label != 255:
            counts[label][guess] += 1
    ious, shares = [], []
    for c in range(classes):
        true, taken = sum(counts[c]), sum(row[c] for row in counts)
        if true + taken:
            ious.append(counts[c][c] / (true + taken - counts[c][c]))
        if true:
            shares.append(counts[c][c] / true)
    return counts, sum(ious) / len(ious), sum(shares) / len(shares)


@pytest.mark.parametrize("classes", [2, 21, 254])
def test_against_loops_and_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    truth = rng.integers(0, classes, (2, 30, 40))
    predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, classes, truth.shape))
    truth[rng.random(truth.shape) < 0.1] = 255
    counts, miou, macc = by_hand(predicted, truth, classes)
    found = pixel_confusion(torch.tensor(predicted), torch.tensor(truth, dtype=torch.uint8), classes)
    assert found.tolist() == counts
    assert mean_iou(found) == pytest.approx(miou, abs=1e-12)
    assert mean_pixel_accuracy(found) == pytest.approx(macc, abs=1e-12)
    known = truth != 255
    assert mean_iou(found) == pytest.approx(jaccard_score(truth[known], predicted[known], average="macro"))
    labels = sorted({*truth[known].tolist()})
    recall = recall_score(truth[known], predicted[known], labels=labels, average="macro")
    assert mean_pixel_accuracy(found) == pytest.approx(recall)


def test_batches_add_up_to_the_whole() -> None:
    rng = torch.Generator().manual_seed(0)
    predicted, truth = (torch.randint(5, (8, 6, 7), generator=rng) for _ in range(2))
    whole = pixel_confusion(predicted, truth, 5)
    parts = zip(predicted.split(3), truth.split(3), strict=True)
    assert torch.equal(sum(pixel_confusion(a, b, 5) for a, b in parts), whole)


def test_a_class_that_occurs_nowhere_counts_for_nothing() -> None:
    truth = torch.tensor([0, 0, 2, 255])
    found = pixel_confusion(torch.tensor([0, 2, 2, 1]), truth, 4)
    assert class_ious(found).nan_to_num(-1).tolist() == [0.5, -1, 0.5, -1]
    assert (mean_iou(found), mean_pixel_accuracy(found)) == (0.5, 0.75)


def test_all_right_and_all_wrong() -> None:
    truth = torch.arange(6) % 3
    assert mean_iou(pixel_confusion(truth, truth, 3)) == 1
    assert mean_iou(pixel_confusion((truth + 1) % 3, truth, 3)) == 0
    assert mean_pixel_accuracy(pixel_confusion((truth + 1) % 3, truth, 3)) == 0


def test_void_alone_has_no_score() -> None:
    found = pixel_confusion(torch.zeros(4, dtype=torch.int64), torch.full((4,), 255), 2)
    with pytest.raises(UserError, match="no pixel has a class"):
        mean_iou(found)


@pytest.mark.parametrize(("predicted", "truth"), [(2, 0), (0, 2), (-1, 0), (255, 0)])
def test_numbers_that_are_no_class_are_refused(predicted: int, truth: int) -> None:
    with pytest.raises(UserError, match="expected classes from 0 to 1"):
        pixel_confusion(torch.tensor([predicted]), torch.tensor([truth]), 2)
