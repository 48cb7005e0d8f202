"""The relationship of classes against a planted one, loops, and scikit-learn's own cross-validation with
Bayes' rule by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.randomness import stream_seed
from ssl_mix.transfer.relationship import STRENGTHS, learn_relationship


def scene(
    each: int = 12, classes: int = 4, sources: int = 9, spread: float = 1.5, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Probabilities (N, S) float64 that lean towards what is typical of each class, and labels in mixed
    order."""
    draw = np.random.default_rng(seed)
    labels = draw.permutation(np.repeat(np.arange(classes), each))
    center = draw.standard_normal((classes, sources)) * spread
    scores = center[labels] + draw.standard_normal((len(labels), sources))
    return torch.from_numpy(softmax(scores, axis=1)), torch.from_numpy(labels)


def planted(
    each: int = 50, classes: int = 3, sources: int = 8, seed: int = 0
) -> tuple[Tensor, Tensor, NDArray[Any]]:
    """Samples of class y are of a source class drawn from row y of ``truth``, and a faultless source
    classifier says so."""
    truth = np.zeros((classes, sources))
    for y in range(classes):
        truth[y, 2 * y : 2 * y + 2] = 0.7, 0.3
    labels = np.repeat(np.arange(classes), each)
    kinds = np.concatenate(
        [np.repeat([2 * y, 2 * y + 1], [int(0.7 * each), each - int(0.7 * each)]) for y in range(classes)]
    )
    return torch.from_numpy(np.eye(sources)[kinds]), torch.from_numpy(labels), truth


@pytest.mark.parametrize("method", ["logistic", "direct"])
def test_a_planted_relationship_is_found(method: str) -> None:
    probabilities, labels, truth = planted()
    found = learn_relationship(probabilities, labels, 3, method=method)
    assert (found.method, found.note) == (method, "")
    np.testing.assert_allclose(found.matrix.numpy(), truth, atol=1e-3)


@pytest.mark.parametrize("method", ["logistic", "direct"])
@pytest.mark.parametrize("classes", [2, 4])
def test_rows_are_distributions(method: str, classes: int) -> None:
    matrix = learn_relationship(*scene(classes=classes), classes, method=method).matrix
    assert matrix.dtype == torch.float32 and matrix.shape == (classes, 9)
    assert (matrix >= 0).all()
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(classes))


def test_direct_is_the_mean_of_each_class() -> None:
    probabilities, labels = scene()
    expected = []
    for c in range(4):
        rows = [p for p, y in zip(probabilities.tolist(), labels.tolist(), strict=True) if y == c]
        expected.append([sum(column) / len(rows) for column in zip(*rows, strict=True)])
    found = learn_relationship(probabilities, labels, 4, method="direct")
    np.testing.assert_allclose(found.matrix.numpy(), expected, rtol=1e-6)


def by_hand(probabilities: Tensor, labels: Tensor, seed: int = 0) -> NDArray[Any]:
    """The logistic relationship of more than two classes, every fit from zero by another solver."""
    source, target = probabilities.numpy(), labels.numpy()
    folds = StratifiedKFold(4, shuffle=True, random_state=stream_seed(seed, "relationship") % 2**32)
    best = (-1.0, None, None)
    for strength in STRENGTHS:
        model = LogisticRegression(C=strength, fit_intercept=False, solver="newton-cholesky", tol=1e-8)
        scores = cross_val_predict(model, source, target, cv=folds, method="decision_function")
        accuracy = (scores.argmax(axis=1) == target).mean()
        if accuracy > best[0]:
            best = accuracy, model, scores
    _, model, scores = best
    rows = np.arange(len(target))
    scale = minimize_scalar(lambda a: -log_softmax(a * scores, axis=1)[rows, target].mean()).x
    assert model is not None
    weights, prior = model.fit(source, target).coef_, source.mean(axis=0)
    matrix = np.empty(weights.shape)
    for s in range(weights.shape[1]):
        powers = np.exp(scale * weights[:, s])
        matrix[:, s] = powers / powers.sum() * prior[s]
    return matrix / matrix.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("seed", [0, 1])
def test_logistic_is_bayes_rule_on_the_coefficients_of_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    probabilities, labels = scene(seed=seed)
    expected = by_hand(probabilities, labels, seed)
    found = learn_relationship(probabilities, labels, 4, seed=seed)
    assert found.method == "logistic"
    np.testing.assert_allclose(found.matrix.numpy(), expected, atol=1e-3)
    monkeypatch.setattr("ssl_mix.transfer.relationship.TOLERANCE", 1e-8)
    found = learn_relationship(probabilities, labels, 4, seed=seed)
    np.testing.assert_allclose(found.matrix.numpy(), expected, rtol=2e-5)


def test_probabilities_that_are_spread_thin_still_tell() -> None:
    """All near 1 / S, with a thousandth of what is planted: each class still has more than its share of its
    own two source classes."""
    probabilities, labels, truth = planted()
    thin = (1 - 1e-3) / 8 + 1e-3 * probabilities
    matrix = learn_relationship(thin, labels, 3).matrix.numpy()
    assert (matrix[truth > 0] > 0.3).all()


def test_two_classes_are_fitted_as_the_multinomial_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the multinomial objective, ``C * cross-entropy + |W|^2 / 2`` of both rows of W, minimized by
    another routine."""
    monkeypatch.setattr("ssl_mix.transfer.relationship.STRENGTHS", (3.0,))
    monkeypatch.setattr("ssl_mix.transfer.relationship.TOLERANCE", 1e-8)
    probabilities, labels = scene(classes=2)
    source, target = probabilities.numpy(), labels.numpy()

    def fitted(chosen: NDArray[Any]) -> NDArray[Any]:
        def objective(flat: NDArray[Any]) -> tuple[np.float64, NDArray[Any]]:
            weights = flat.reshape(2, -1)
            log_p, truth = log_softmax(source[chosen] @ weights.T, axis=1), np.eye(2)[target[chosen]]
            slope = 3.0 * (np.exp(log_p) - truth).T @ source[chosen] + weights
            return -3.0 * (truth * log_p).sum() + (weights**2).sum() / 2, slope.ravel()

        return minimize(objective, np.zeros(18), jac=True, tol=1e-9, method="BFGS").x.reshape(2, -1)

    folds = StratifiedKFold(4, shuffle=True, random_state=stream_seed(0, "relationship") % 2**32)
    scores = np.empty((len(target), 2))
    for train, held_out in folds.split(source, target):
        scores[held_out] = source[held_out] @ fitted(train).T
    rows = np.arange(len(target))
    scale = minimize_scalar(lambda a: -log_softmax(a * scores, axis=1)[rows, target].mean()).x
    joint = softmax(scale * fitted(rows), axis=0) * source.mean(axis=0)
    found = learn_relationship(probabilities, labels, 2)
    np.testing.assert_allclose(found.matrix.numpy(), joint / joint.sum(axis=1, keepdims=True), rtol=2e-5)


@pytest.mark.parametrize("method", ["logistic", "direct"])
def test_renamed_classes_and_sources_rename_rows_and_columns(method: str) -> None:
    """The folds of other labels are other folds, so strengths and scale are only alike where the classes are
    easily told apart."""
    probabilities, labels, _ = planted()
    order, columns = torch.tensor([2, 0, 1]), torch.randperm(8, generator=torch.Generator().manual_seed(0))
    found = learn_relationship(probabilities, labels, 3, method=method).matrix
    renamed = learn_relationship(probabilities[:, columns], order[labels], 3, method=method).matrix
    torch.testing.assert_close(renamed[order], found[:, columns], rtol=1e-3, atol=1e-3)


def test_a_source_class_that_never_occurs_has_no_share() -> None:
    probabilities, labels = scene()
    probabilities = torch.cat((probabilities, torch.zeros(len(labels), 1)), dim=1)
    for method in ("logistic", "direct"):
        assert not learn_relationship(probabilities, labels, 4, method=method).matrix[:, -1].any()


@pytest.mark.parametrize("classes", [2, 3])
def test_one_source_class(classes: int) -> None:
    labels = torch.arange(12) % classes
    found = learn_relationship(torch.ones(12, 1), labels, classes)
    assert found.method == "logistic" and found.matrix.tolist() == [[1.0]] * classes


def test_samples_that_say_nothing_give_what_is_common_to_all() -> None:
    common = torch.tensor([0.5, 0.3, 0.2])
    found = learn_relationship(common.expand(12, 3), torch.arange(12) % 3, 3)
    assert found.method == "logistic"
    torch.testing.assert_close(found.matrix, common.expand(3, 3))


def test_too_few_samples_of_a_class_fall_back_to_the_mean() -> None:
    probabilities, labels = scene()
    kept = torch.cat([(labels == c).nonzero().flatten()[: 3 if c == 2 else 5] for c in range(4)])
    found = learn_relationship(probabilities[kept], labels[kept], 4)
    direct = learn_relationship(probabilities[kept], labels[kept], 4, method="direct")
    assert torch.equal(found.matrix, direct.matrix)
    assert found.method == "direct" and "4 samples" in found.note and "fewest: 3" in found.note
    assert direct.note == ""


@pytest.mark.parametrize("method", ["logistic", "direct"])
def test_a_class_without_samples_gets_the_mean_of_all(method: str) -> None:
    probabilities, labels = scene()
    found = learn_relationship(probabilities, labels, 6, method=method)
    expected = probabilities.mean(dim=0).float().expand(2, -1)
    torch.testing.assert_close(found.matrix[4:], expected)
    assert found.method == "direct" and "[4, 5]" in found.note


def test_no_global_random_state_is_read_or_changed() -> None:
    states = [np.random.get_state()[1].tolist(), torch.get_rng_state()]
    first = learn_relationship(*scene(), 4, seed=3).matrix
    assert np.random.get_state()[1].tolist() == states[0] and torch.equal(torch.get_rng_state(), states[1])
    np.random.seed(5)
    torch.manual_seed(5)
    assert torch.equal(learn_relationship(*scene(), 4, seed=3).matrix, first)


def test_half_precision_and_gradients_are_accepted() -> None:
    probabilities, labels = scene()
    half = probabilities.bfloat16().requires_grad_()
    found = learn_relationship(half, labels, 4, method="direct").matrix
    assert not found.requires_grad
    torch.testing.assert_close(
        found, learn_relationship(probabilities, labels, 4, method="direct").matrix, rtol=0.02, atol=0
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p, y: (p, y, 1), "at least 2 classes"),
        (lambda p, y: (p, y, 3), "num_classes"),
        (lambda p, y: (p, y - 1, 4), "num_classes"),
        (lambda p, y: (p, y.float(), 4), "labels"),
        (lambda p, y: (p, y[:-1], 4), "labels"),
        (lambda p, y: (p[0], y, 4), "probabilities"),
        (lambda p, y: (p[:0], y[:0], 4), "probabilities"),
        (lambda p, y: (2 * p, y, 4), "sum to 1"),
        (lambda p, y: (p * float("nan"), y, 4), "sum to 1"),
        (lambda p, y: (p.log(), y, 4), "sum to 1"),
    ],
)
def test_wrong_arguments(change: Callable[..., Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        learn_relationship(*change(*scene()))


def test_wrong_method() -> None:
    with pytest.raises(UserError, match="method"):
        learn_relationship(*scene(), 4, method="bayes")
