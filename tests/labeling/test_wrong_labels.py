"""Labels that are probably wrong: against the definition as a slow loop, and against cleanlab where it is
installed."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.labeling import out_of_sample, outlier_scores, wrong_labels
from ssl_mix.labeling.wrong_labels import parts_of


def scene(seed: int = 0, count: int = 300, classes: int = 5, share: float = 0.2) -> tuple[Tensor, Tensor]:
    """Probabilities that know the true class better or worse, and labels of which a share is another."""
    generator = torch.Generator().manual_seed(seed)
    true = torch.randint(classes, (count,), generator=generator)
    logits = torch.randn(count, classes, generator=generator)
    logits[torch.arange(count), true] += 2
    other = (true + torch.randint(1, classes, (count,), generator=generator)) % classes
    wrong = torch.rand(count, generator=generator) < share
    return logits.softmax(dim=1), torch.where(wrong, other, true)


@pytest.mark.parametrize("seed", range(5))
def test_as_many_are_suspicious_as_lie_off_the_diagonal_of_the_confident_joint(seed: int) -> None:
    probabilities, labels = scene(seed)
    p, given = probabilities.double().numpy(), labels.numpy()
    thresholds = [p[given == j, j].mean() for j in range(5)]
    found, count = wrong_labels(probabilities, labels), 0
    for i in range(len(p)):
        confident = [j for j in range(5) if p[i, j] >= thresholds[j] - 1e-9]
        counted = max(confident, key=lambda j: p[i, j]) if confident else given[i]
        count += counted != given[i] and p[i].argmax() != given[i]
    assert 0 < count < len(p)
    own = [p[i, given[i]] for i in range(len(p))]
    expected = sorted(range(len(p)), key=lambda i: own[i])[:count]
    assert found.suspicious.nonzero()[:, 0].tolist() == sorted(expected)
    for i in range(len(p)):
        others = [j for j in range(5) if j != given[i] or i not in expected]
        assert int(found.suggested[i]) == max(others, key=lambda j: p[i, j])
    np.testing.assert_allclose(found.scores.numpy(), 1 - np.array(own), atol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_they_are_those_of_cleanlab(seed: int) -> None:
    cleanlab = pytest.importorskip("cleanlab.filter", reason="cleanlab is not installed")
    probabilities, labels = scene(seed)
    p = probabilities.double().numpy()
    expected = cleanlab.find_label_issues(labels.numpy(), p, filter_by="low_self_confidence", n_jobs=1)
    assert wrong_labels(probabilities, labels).suspicious.numpy().tolist() == expected.tolist()


def test_a_class_of_one_image_is_never_suspicious() -> None:
    probabilities = torch.tensor([[0.9, 0.1, 0.0]] * 4 + [[0.9, 0.1, 0.0]])
    labels = torch.tensor([0, 0, 0, 0, 2])
    found = wrong_labels(probabilities, labels)
    assert not found.suspicious.any() and found.scores[4] > 0.9


def test_certain_answers_give_the_ends_of_the_scale() -> None:
    found = wrong_labels(torch.eye(2)[[0, 0, 0, 1]], torch.tensor([0, 0, 1, 1]))
    assert found.scores.tolist() == [0, 0, 1, 0]
    assert found.suspicious.tolist() == [False, False, True, False]
    assert found.suggested.tolist() == [0, 0, 0, 1]
    assert wrong_labels(torch.ones(3, 1), torch.zeros(3, dtype=torch.int64)).scores.tolist() == [0, 0, 0]


def test_no_image_is_predicted_by_itself() -> None:
    """Labels without meaning are predicted no better than by chance, which a fit to them would be."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(120, 200, generator=generator)
    labels = torch.arange(120) % 3
    found = out_of_sample(features, labels, 3)
    assert found.sum(dim=1).allclose(torch.ones(120), atol=1e-5)
    assert (found.argmax(dim=1) == labels).float().mean() < 0.5
    again = out_of_sample(features, labels, 3)
    assert again.equal(found)


def test_what_has_a_meaning_is_found() -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.arange(150) % 3
    features = torch.randn(150, 20, generator=generator) + 4 * torch.nn.functional.one_hot(true, 20)
    labels = true.clone()
    labels[:9] = (labels[:9] + 1) % 3
    found = wrong_labels(out_of_sample(features, labels, 3), labels)
    assert int(found.suspicious[:9].sum()) >= 8 and not found.suspicious[9:].any()
    assert found.suggested[:9].equal(true[:9])


def test_folds_are_stratified() -> None:
    labels = torch.tensor([0] * 11 + [1] * 5 + [2])
    parts = parts_of(labels, 5, 0)
    for label in range(3):
        counts = torch.bincount(parts[labels == label], minlength=5)
        assert int(counts.max() - counts.min()) <= 1


def test_labels_without_company_are_refused() -> None:
    with pytest.raises(UserError, match="no class has two"):
        out_of_sample(torch.randn(3, 4), torch.tensor([0, 1, 2]), 3)
    with pytest.raises(UserError, match="no class has two"):
        out_of_sample(torch.randn(0, 4), torch.zeros(0, dtype=torch.int64), 3)
    with pytest.raises(UserError, match="int64"):
        wrong_labels(torch.eye(2), torch.zeros(2, 1, dtype=torch.int64))
    with pytest.raises(UserError, match="as many labels"):
        wrong_labels(torch.ones(3, 1), torch.zeros(2, dtype=torch.int64))


def test_outliers_are_robust_deviations_of_the_log_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(60, 3, generator=generator) * 0.1 + torch.tensor([5.0, 0.0, 0.0])
    features[30:] -= torch.tensor([10.0, 0.0, 0.0])
    features[7] = torch.tensor([0.0, 9.0, 0.0])
    f = features.double().numpy()
    f = f - f.mean(axis=0)
    f /= np.linalg.norm(f, axis=1, keepdims=True)
    apart = np.sort(np.linalg.norm(f[:, None] - f[None], axis=2), axis=1)
    x = np.log(apart[:, 1:6].mean(axis=1))
    median = np.sort(x)[29]  # the lower one, as torch takes it
    expected = 0.6745 * (x - median) / np.sort(np.abs(x - median))[29]
    found = outlier_scores(features)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-3, atol=1e-3)
    assert int(found.argmax()) == 7 and found[7] > 3.5


def test_identical_and_few_images_have_no_outliers() -> None:
    assert outlier_scores(torch.ones(50, 4)).tolist() == [0] * 50
    assert outlier_scores(torch.randn(5, 4)).tolist() == [0] * 5
