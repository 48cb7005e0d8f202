"""What the head-only study compares, and in which order: the questions that matter most come first."""

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

FEATURE_VIEWS = 6
TRAINED: dict[str, Any] = {"batch_size": 64, "ema_decay": 0.99, "weight_decay": 1e-3}
DATA = ("caltech50", "cub5", "cifar10")
RATES = (0.006, 0.02, 0.06)
METHODS = (
    "fixmatch",
    "debiasmatch",
    "finessl",
    "dst",
    "flexmatch",
    "freematch",
    "softmatch",
    "adamatch",
    "refixmatch",
    "defixmatch",
    "dash",
    "uda",
    "comatch",
    "simmatch",
    "simmatchv2",
    "pseudo-label",
    "mean-teacher",
    "pi-model",
    "vat",
    "mixmatch",
    "meta-pseudo-labels",
    "openmatch",
)  # of unlabeled images, that train a head alone and need no run before
ALGORITHMS: dict[str, dict[str, Any]] = {
    "fine-tuning": {"view": "weak", "unlabeled_ratio": 4, "threshold": 0.0},
    "self-tuning": {"unlabeled_ratio": 4},
    **{name: {"unlabeled_ratio": 4} for name in METHODS},
}
MIXINGS: dict[str, dict[str, Any]] = {
    "none": {"mix": "none"},
    "mixup": {"mix": "mixup"},
    "dm": {"mix": "dm"},
    "as, eta 0": {"mix": "as", "eta": 0.0},
    "as": {"mix": "as"},
    "dm-as, eta 0": {"mix": "dm-as", "eta": 0.0},
    "dm-as": {"mix": "dm-as"},
}
TERMS = ("none", "mixup", "dm", "as, eta 0", "as", "dm-as")


class Method(NamedTuple):
    """How a head is trained, but for its learning rate.

    Attributes:
        algorithm: by name.
        mixing: one of ``MIXINGS``.
        start: of the head.
    """

    algorithm: str
    mixing: str
    start: str = "prototypes"

    def options(self) -> dict[str, Any]:
        """Of a run that trains a head so."""
        return {
            **TRAINED,
            **ALGORITHMS[self.algorithm],
            **MIXINGS[self.mixing],
            "head_start": self.start,
        }


class Cell(NamedTuple):
    """What is measured over all splits.

    Attributes:
        data: name of the data set.
        kind: of the unlabeled images.
        labels: per class.
        method: that is trained.
    """

    data: str
    kind: str
    labels: int
    method: Method


def places() -> Iterator[tuple[str, str, int]]:
    """Data, kinds of unlabeled images and labels per class of which the starts alone are measured first."""
    yield from product(DATA, ("balanced",), (1, 2, 5, 10))
    yield from product(("caltech50",), ("tail", "foreign"), (2, 5))


def cells() -> Iterator[Cell]:
    """All of them, in order."""
    tune, match = ("fine-tuning",), ("fixmatch",)
    home, plain, two, few = "caltech50", ("balanced",), ("tail", "foreign"), ("none", "mixup", "as", "dm-as")
    yield from over(home, plain, (2,), METHODS, ("none",), start="probe")
    yield from over(home, plain, (2,), METHODS, ("mixup", "dm-as"), start="probe")
    yield from over(home, plain, (2, 5), match, TERMS)
    yield from over(home, plain, (2, 5), tune, TERMS)
    yield from over(home, plain, (1, 10), tune, ("none",))
    yield from over(home, plain, (1, 10), match, ("none", "dm-as"))
    yield from over("cifar10", plain, (2,), match, few)
    yield from over("cifar10", plain, (2,), tune, ("none", "mixup", "as"))
    yield from over(home, plain, (2,), match, ("none", "dm-as", "mixup"), start="probe")
    yield from over(home, two, (2,), match, ("none", "dm-as"))
    yield from over(home, two, (2,), tune, ("none",))
    yield from over(home, plain, (2,), match, ("as", "dm"), start="probe")
    yield from over(home, two, (2,), match, ("as",))
    yield from over(home, plain, (2,), tune, ("none", "mixup", "as"), start="probe")
    yield from over(home, plain, (2,), tune, ("as, eta 0",), start="probe")
    yield from over(home, ("foreign",), (2,), match, ("mixup", "dm"))
    yield from over("cub5", plain, (5,), match, ("none", "as", "dm-as"))
    yield from over(home, plain, (2,), match, ("as, eta 0",), start="probe")
    yield from over("cub5", plain, (5,), match, ("mixup",))
    yield from over(home, plain, (2,), tune, ("dm-as", "dm"), start="probe")
    yield from over(home, two, (2,), match, few)
    yield from over("cub5", plain, (5,), (*tune, *match), few)
    yield from over(home, plain, (2,), (*match, *tune), TERMS, start="probe")
    yield from over(home, two, (5,), (*tune, *match), few)
    yield from over("cub5", plain, (1, 2, 10), (*tune, *match), few)
    yield from over("cifar10", plain, (1, 5, 10), (*tune, *match), few)
    yield from over(home, plain, (2,), METHODS, ("dm", "as"), start="probe")
    yield from over(home, plain, (2, 5), ("self-tuning", "flexmatch"), TERMS)
    for algorithm, start, mixing in product((*match, *tune), ("prototypes", "probe"), MIXINGS):
        for data in reversed(DATA):
            yield from over(data, plain, (2, 5, 1, 10), (algorithm,), (mixing,), start=start)
        yield from over(home, two, (2, 5), (algorithm,), (mixing,), start=start)


def over(
    data: str,
    kinds: tuple[str, ...],
    labels: tuple[int, ...],
    algorithms: tuple[str, ...],
    mixings: tuple[str, ...],
    **how: str,
) -> Iterator[Cell]:
    """Every combination, the mixings of an algorithm side by side."""
    for algorithm, kind, count, mixing in product(algorithms, kinds, labels, mixings):
        yield Cell(data, kind, count, Method(algorithm, mixing, **how))
