"""The confusion matrix and what follows from it, held against scikit-learn."""

import pytest
import torch
from sklearn.metrics import confusion_matrix as their_matrix
from sklearn.metrics import f1_score
from sklearn.utils.class_weight import compute_class_weight

from ssl_mix import UserError
from ssl_mix.evaluation import class_weights, confusion_matrix, macro_f1


def answers(count: int, classes: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities, and labels that leave some classes out."""
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.rand(count, classes, generator=generator).softmax(dim=1)
    return probabilities, torch.randint(0, max(2, classes - 2), (count,), generator=generator)


@pytest.mark.parametrize(("count", "classes", "seed"), [(1, 2, 0), (7, 3, 1), (200, 12, 2), (30, 40, 3)])
def test_matrix_and_macro_f1_are_those_of_scikit_learn(count: int, classes: int, seed: int) -> None:
    probabilities, labels = answers(count, classes, seed)
    predicted = probabilities.argmax(dim=1)
    expected = their_matrix(labels, predicted, labels=range(classes))
    assert confusion_matrix(probabilities, labels).tolist() == expected.tolist()
    f1 = f1_score(labels, predicted, average="macro", zero_division=0)
    assert macro_f1(probabilities, labels) == pytest.approx(f1, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_class_weights_are_those_of_scikit_learn(seed: int) -> None:
    _, labels = answers(50, 6, seed)
    present = labels.unique()
    expected = compute_class_weight("balanced", classes=present.numpy(), y=labels.numpy())
    found = class_weights(torch.cat((labels, torch.tensor([-1, -1]))), 6)
    assert found[present].numpy() == pytest.approx(expected, rel=1e-6)
    assert found.count_nonzero() == len(present)


def test_labels_that_are_no_class_are_refused() -> None:
    probabilities = torch.eye(3)
    for labels in ([0, 1, 3], [0, -1, 2]):
        with pytest.raises(UserError, match="expected labels from 0 to 2"):
            macro_f1(probabilities, torch.tensor(labels))
    with pytest.raises(UserError, match=r"labels int64 \(N,\), got"):
        confusion_matrix(probabilities, torch.tensor([0, 1]))
    with pytest.raises(UserError, match="got none"):
        class_weights(torch.tensor([-1]), 3)
