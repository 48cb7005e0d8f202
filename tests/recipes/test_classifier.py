"""The estimator of scikit-learn."""

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import SkipTestWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils import estimator_checks

from ssl_mix import SemiSupervisedClassifier

OPTIONS = {"batch_size": 4, "threads": 1}


def digits(labels: int = 20) -> tuple[Any, Any]:
    pixels, y = load_digits(return_X_y=True)
    y = y[:60].copy()
    y[labels:] = -1
    return pixels[:60].reshape(-1, 8, 8) / 16, y


def test_parameters_are_as_scikit_learn_wants_them() -> None:
    made = SemiSupervisedClassifier("softmatch", steps=3, options={"threads": 1})
    assert made.get_params() == {
        "algorithm": "softmatch",
        "net": None,
        "options": {"threads": 1},
        "random_state": 0,
        "steps": 3,
    }
    copy = clone(made).set_params(steps=4)
    assert (copy.steps, made.steps) == (4, 3)


def test_it_learns_predicts_and_is_pickled() -> None:
    X, y = digits()
    names = np.array([f"digit {label}" for label in range(10)])
    classifier = SemiSupervisedClassifier("fixmatch", net="small-cnn", steps=3, options=OPTIONS).fit(X, y)
    assert classifier.classes_.tolist() == list(range(10)) and classifier.n_features_in_ == 64
    answers = classifier.predict_proba(X[:7])
    assert answers.shape == (7, 10) and answers.dtype == np.float32
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(classifier.predict(X[:7]), answers.argmax(axis=1))
    again = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(again.predict_proba(X[:7]), answers)
    assert 0 <= classifier.score(X[:20], y[:20]) <= 1
    named = SemiSupervisedClassifier("supervised", net="small-cnn", steps=1, options=OPTIONS)
    assert set(named.fit(X[:20], names[y[:20]]).predict(X[:3])) <= set(names)


def test_it_is_searched_over() -> None:
    X, y = digits(60)
    search = GridSearchCV(
        SemiSupervisedClassifier("supervised", net="small-cnn", options=OPTIONS), {"steps": [1, 2]}, cv=2
    )
    assert search.fit(X, y).best_params_["steps"] in (1, 2)


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((4, 64)), [0, 1, 0, 1], "X must hold images, .* shape .4, 64."),
        (np.zeros((4, 8, 8)), [0, 1, 0], "one label for each image"),
        (np.zeros((4, 8, 8)), [0, 0, -1, -1], "at least 2 classes, got 1 class"),
        (np.zeros((4, 8, 8)), [0.5, 1.5, 0.1, 0.2], "continuous|Unknown label type"),
    ],
)
def test_what_holds_no_images_or_labels_is_refused(X: Any, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SemiSupervisedClassifier(steps=1).fit(X, np.array(y))


@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_estimator_cloneable,
        estimator_checks.check_estimator_repr,
        estimator_checks.check_get_params_invariance,
        estimator_checks.check_no_attributes_set_in_init,
        estimator_checks.check_parameters_default_constructible,
        estimator_checks.check_set_params,
        estimator_checks.check_valid_tag_types,
    ],
    ids=lambda check: check.__name__,
)
def test_the_checks_of_scikit_learn_that_fit_nothing_pass(check: Any) -> None:
    check("SemiSupervisedClassifier", SemiSupervisedClassifier())


def test_the_other_checks_say_why_they_do_not_apply() -> None:
    with pytest.warns(SkipTestWarning, match="three_d_array=True"):
        results = estimator_checks.check_estimator(SemiSupervisedClassifier(), on_fail=None)
    assert not [result for result in results if result["status"] == "failed"]
