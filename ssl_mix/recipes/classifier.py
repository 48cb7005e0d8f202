"""``ssl_mix.fit`` as an estimator of scikit-learn."""

from numbers import Integral
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from ssl_mix.errors import UserError, check_kinds, check_seed
from ssl_mix.recipes.fit import fit

UNLABELED = -1


class SemiSupervisedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Learn from few labels, as an estimator of scikit-learn: ``fit(X, y)`` with ``y = -1`` where there is no
    label.

    X holds images, not features: (N, H, W), (N, H, W, C) or (N, C, H, W), uint8 or floats in [0, 1]. So
    ``check_estimator`` runs none of its checks of training, with a warning that says so: all of them fit
    tables of features (X of two axes), which no image network can take. Its checks of the constructor,
    parameters, tags and cloning pass, and so do pickling, ``GridSearchCV`` and ``score``.

    Args:
        algorithm: a name in ``ssl_mix.algorithms.ALGORITHMS``.
        net: a name, weights, or a network, as for :func:`ssl_mix.fit`.
        steps: optimizer steps.
        random_state: of weights, order, augmentation and mixing: a seed, a ``RandomState``, or None for
            another one in each fit.
        options: any other option of :func:`ssl_mix.fit`, by name.

    Attributes:
        classes_: labels, sorted, without -1.
        trained_: what :func:`ssl_mix.fit` returned.
        n_features_in_: pixels of an image, over all channels.

    Example:
        >>> from ssl_mix import SemiSupervisedClassifier
        >>> SemiSupervisedClassifier("fixmatch", steps=100).get_params()["steps"]
        100
    """

    def __init__(
        self,
        algorithm: str = "fixmatch",
        *,
        net: Any = None,
        steps: int = 1000,
        random_state: Any = 0,
        options: dict[str, Any] | None = None,
        **others: Any,
    ) -> None:
        if others:
            name, value = next(iter(others.items()))
            raise UserError(f"{name} goes with the options of ssl_mix.fit: options={{{name!r}: {value!r}}}")
        self.algorithm = algorithm
        self.net = net
        self.steps = steps
        self.random_state = random_state
        self.options = options

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        return tags

    def fit(self, X: Any, y: Any) -> "SemiSupervisedClassifier":
        """Train.

        Args:
            X: images.
            y: whole numbers or names; -1, None, NaN or "" where unknown.

        Raises:
            ValueError: X holds no images, or y has another length, or fewer than two classes.
        """
        images, labels = _images_in(X), np.asarray(y)
        if labels.ndim != 1 or len(labels) != len(images):
            raise UserError(f"y must be ({len(images)},), one label for each image, got {labels.shape}")
        options = self._checked_options()
        known = np.array([not _is_unknown(label) for label in labels.tolist()], dtype=bool)
        certain = np.array(labels[known].tolist())  # of one type, where labels with unknown ones are objects
        if len({type(label) for label in certain.tolist()} | {type(n) for n in labels[known].tolist()}) > 1:
            raise UserError("y must hold labels of one type, all numbers or all names, and -1 where unknown")
        check_classification_targets(certain)
        self.classes_, numbers = np.unique(certain, return_inverse=True)
        if len(self.classes_) < 2:
            raise UserError(f"y must have at least 2 classes, got {len(self.classes_)} class")
        targets = np.full(len(labels), UNLABELED)
        targets[known] = numbers
        self.n_features_in_ = int(np.prod(images.shape[1:]))
        self.trained_ = fit(
            self.algorithm,
            labeled=(images, targets),
            net=self.net,
            steps=self.steps,
            seed=_seed_of(self.random_state),
            **options,
        )
        return self

    def _checked_options(self) -> dict[str, Any]:
        """The options for ``fit``.

        Raises:
            ValueError: they are no dict, or name what the constructor takes itself.
        """
        check_kinds({"options": self.options}, {"options": dict | None})
        options = self.options or {}
        if own := sorted(options.keys() & {"algorithm", "net", "steps", "seed", "labeled"}):
            instead = {"seed": "random_state", "labeled": "X and y"}.get(own[0], own[0])
            raise UserError(f"options cannot hold {own[0]!r}: give it as {instead}")
        return options

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Class probabilities, (N, C) float32 in the order of ``classes_``."""
        check_is_fitted(self)
        return self.trained_.predict_proba(_images_in(X))

    def predict(self, X: Any) -> npt.NDArray[Any]:
        """The likeliest class of each image, (N,)."""
        probabilities = self.predict_proba(X)  # says it where nothing is fitted
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])


def _is_unknown(label: Any) -> bool:
    """Whether a label is none: -1, written out too, "", None or NaN."""
    if label is None or isinstance(label, str):
        return label in (None, "", str(UNLABELED))
    return bool(label != label or (label == UNLABELED))


def _seed_of(random_state: Any) -> int:
    """The seed that ``random_state`` means to scikit-learn: a number itself, else one that is drawn."""
    if isinstance(random_state, Integral):
        check_seed("random_state", random_state)
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _images_in(given: Any) -> npt.NDArray[Any]:
    """X as an array.

    Raises:
        ValueError: it holds no images.
    """
    try:
        images = np.asarray(given)
    except Exception:  # whatever somebody's items lead to
        images = np.asarray(None)
    if images.ndim in (3, 4):
        return images
    found = f"an array of shape {images.shape}" if images.ndim else type(given).__name__
    raise UserError(
        f"X must hold images, (N, H, W), (N, H, W, C) or (N, C, H, W), got {found}: ssl_mix.fit takes "
        "folders, lists and Datasets too"
    )
