"""Values of a wrong kind are refused by the name of the argument, in Python as on the command line."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from ssl_mix import SemiSupervisedClassifier, fit, load
from ssl_mix.algorithms import ALGORITHMS, FixMatch
from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError

IMAGES = np.zeros((8, 8, 8), np.uint8)
LABELS = np.array([0, 1] * 2 + [-1] * 4)
SMALL: dict[str, Any] = {"batch_size": 2, "threads": 1, "net": "small-cnn"}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"steps": "2"}, "steps must be a whole number, got str '2'"),
        ({"steps": 2.5}, "steps must be a whole number, got float 2.5"),
        ({"lr": None}, "lr must be a number, got NoneType None"),
        ({"eta": "x"}, "eta must be a number, got str 'x'"),
        ({"threshold": [1]}, r"threshold must be a number, got list \[1\]"),
        ({"balanced": "yes"}, "balanced must be True or False, got str 'yes'"),
        ({"class_weights": 3}, "class_weights must be several, each a number, got int 3"),
        ({"labels_per_class": "x"}, "labels_per_class must be a whole number or None, got str 'x'"),
        ({"image_size": "8"}, "image_size must be a whole number or None"),
        ({"weak": 3}, "weak must be a transform, got int"),
        ({"classes": 3}, "classes must be the names of all classes, got int"),
        ({"net": 3}, "net must be a Module or a word or None, got int 3"),
        ({"out": 3}, "out must be a word or a Path or None, got int 3"),
        ({"on_record": 3}, "on_record must be a function of a record, got int"),
    ],
)
def test_fit(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        fit("fixmatch", (IMAGES, LABELS), **wrong)


@pytest.mark.parametrize("wrong", [{"steps": "2"}, {"reject": None}, {"seed": "x"}, {"nesterov": "no"}])
def test_config(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"{next(iter(wrong))} must be "):
        TrainConfig(**wrong)


def test_direct_constructor_and_load() -> None:
    with pytest.raises(UserError, match="threshold must be a number, got str 'x'"):
        FixMatch(threshold="x")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="folder must be a word or a Path, got int 3"):
        load(3)  # type: ignore[arg-type]


def test_numpy_numbers_are_numbers(tmp_path: Path) -> None:
    options = SMALL | {"steps": np.int64(1), "lr": np.float32(0.5)}
    assert fit("fixmatch", (IMAGES, LABELS), out=tmp_path / "run", **options).run.config.lr == 0.5


def test_an_algorithm_that_no_other_program_finds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hidden(FixMatch):
        """Of a function."""

    monkeypatch.setitem(ALGORITHMS, f"{__name__}:{Hidden.__qualname__}", Hidden)  # and no longer than this
    with caplog.at_level(logging.WARNING, "ssl_mix"):
        fit(Hidden, (IMAGES, LABELS), out=tmp_path / "run", steps=1, **SMALL)
    assert "Hidden is defined where only this program finds it" in caplog.text


def test_unfitted_says_so() -> None:
    for ask in (SemiSupervisedClassifier().predict, SemiSupervisedClassifier().predict_proba):
        with pytest.raises(NotFittedError):
            ask(IMAGES)
    with pytest.raises(UserError, match=r"threshold goes with .* options=\{'threshold': 0.9\}"):
        SemiSupervisedClassifier(threshold=0.9)
    with pytest.raises(UserError, match="options cannot hold 'seed': give it as random_state"):
        SemiSupervisedClassifier(options={"seed": 1}).fit(IMAGES, LABELS)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (LABELS.astype(object), [0, 1]),
        (np.array(["a", "b"] * 2 + [None] * 4, dtype=object), ["a", "b"]),
        (np.array(["a", "b"] * 2 + [-1, "", float("nan"), None], dtype=object), ["a", "b"]),
        (np.array([True, False] * 4), [False, True]),
    ],
)
def test_labels_of_any_kind(labels: Any, classes: list[Any]) -> None:
    options = {"options": {"batch_size": 2, "threads": 1}, "net": "small-cnn", "steps": 1}
    algorithm = "supervised" if labels.dtype == bool else "fixmatch"
    found = SemiSupervisedClassifier(algorithm, random_state=None, **options).fit(IMAGES, labels)
    assert found.classes_.tolist() == classes
    with pytest.raises(UserError, match="labels of one type"):
        SemiSupervisedClassifier().fit(IMAGES, np.array([0, "a"] * 4, dtype=object))
