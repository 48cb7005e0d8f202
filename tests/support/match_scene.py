"""One algorithm on random images in float64, and what it must answer, written row by row.

The network normalizes by its batch, so that it matters which images pass it together, and is linear then. A
loss is told as rows: a share, a wanted distribution, and what the row's logits are made of. Its value and the
gradient of the classifier's weights follow from these by the formulas of the cross-entropy.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.types import Batch, Nets, Samples, Step, Task

CLASSES, PIXELS, UNLABELED = 4, 6, 12
Floats = NDArray[np.float64]


class BatchNet(nn.Module):
    """Pixels normalized over the batch, and a linear classifier of them."""

    def __init__(self, draw: np.random.Generator) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(PIXELS, affine=False).double()
        self.head = nn.Linear(PIXELS, CLASSES, bias=False, dtype=torch.float64)
        self.head.weight.data = torch.from_numpy(1.2 * draw.standard_normal((CLASSES, PIXELS)))

    def features(self, images: Tensor) -> Tensor:
        found: Tensor = self.norm(images.flatten(1))
        return found

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


class Row(NamedTuple):
    """``share * H(target, softmax(features W + offset))``; features (D,), or (C, D) where logits differ in
    them."""

    share: float
    target: Floats
    features: Floats
    offset: Floats = np.zeros(CLASSES)


class Scene:
    """Step by step: ``refresh`` draws images, ``run`` answers, ``assert_rows`` compares."""

    def __init__(
        self, name: str, seed: int = 0, labeled: int = 3, unlabeled: int = 5, **options: Any
    ) -> None:
        self.draw, self.labeled, self.count = np.random.default_rng(seed), labeled, unlabeled
        torch.manual_seed(seed)
        self.algorithm: Any = ALGORITHMS[name](**options)
        self.student: Any = self.algorithm.extend(
            BatchNet(self.draw), Task(CLASSES, UNLABELED, (PIXELS, 1, 1))
        )
        self.algorithm.double()
        self.refresh()

    def refresh(self) -> None:
        self.views = {}
        for half, names, count in (
            ("x", self.algorithm.labeled_views, self.labeled),
            ("u", self.algorithm.unlabeled_views, self.count),
        ):
            for name in names:
                self.views[f"{half} {name}"] = self.draw.standard_normal((count, PIXELS, 1, 1))
        self.labels = self.draw.integers(CLASSES, size=self.labeled)
        self.indices = self.draw.integers(UNLABELED, size=self.count)

    def run(self, number: int = 30, total: int = 100, seed: int = 0) -> Any:
        tensors: dict[str, dict[str, Tensor]] = {"x": {}, "u": {}}
        for key, images in self.views.items():
            half, name = key.split()
            tensors[half][name] = torch.from_numpy(images)
        batch = Batch(
            Samples(tensors["x"], None, torch.from_numpy(self.labels)),
            Samples(tensors["u"], torch.from_numpy(self.indices), None),
        )
        step = Step(number, total, torch.Generator().manual_seed(seed))
        self.student.zero_grad()
        self.output = self.algorithm(Nets(self.student, self.student), batch, step)
        self.output.loss.backward(retain_graph=True)
        return self.output

    def commit(self) -> None:
        self.algorithm.commit(self.output.carry)
        self.refresh()

    @property
    def weights(self) -> Floats:
        return np.asarray(self.student.head.weight.detach().numpy())

    def features(self, *names: str) -> list[Floats]:
        """Of views that pass the network together."""
        parts = [self.views[name].reshape(-1, PIXELS) for name in names]
        whole = np.concatenate(parts)
        normal = (whole - whole.mean(axis=0)) / np.sqrt(whole.var(axis=0) + 1e-5)
        return np.split(normal, np.cumsum([len(part) for part in parts])[:-1])

    def answers(self, features: Floats) -> list[Floats]:
        """Class probabilities of each row of features."""
        return [shares(self.weights @ row) for row in features]

    def assert_rows(self, terms: dict[str, tuple[float, Iterable[Row]]]) -> None:
        """Each term, the loss, and the gradient of the classifier."""
        loss, slope, values = 0.0, np.zeros_like(self.weights), {}
        for name, (weight, rows) in terms.items():
            values[f"loss/{name}"] = 0.0
            for share, target, features, offset in rows:
                wide = np.broadcast_to(features, (CLASSES, PIXELS))
                p = shares((self.weights * wide).sum(axis=1) + offset)
                values[f"loss/{name}"] += share * entropy(target, p)
                slope += weight * share * (p - target)[:, None] * wide
            loss += weight * values[f"loss/{name}"]
        found = {key: value.item() for key, value in self.output.metrics.items() if key in values}
        assert found == pytest.approx(values, rel=1e-6, abs=1e-9)
        assert self.output.loss.item() == pytest.approx(loss, rel=1e-6)
        np.testing.assert_allclose(self.student.head.weight.grad, slope, rtol=1e-5, atol=1e-8)


def shares(logits: Floats) -> Floats:
    """Softmax of one row."""
    powers = [math.exp(value - max(logits)) for value in logits]
    return np.array([power / sum(powers) for power in powers])


def entropy(target: Floats, p: Floats) -> float:
    """``-sum t log p``."""
    return -sum(float(t) * math.log(q) for t, q in zip(target, p, strict=True) if t > 0)


def hot(label: int) -> Floats:
    """1 for the class."""
    return np.array([1.0 if c == label else 0.0 for c in range(CLASSES)])


def sharper(p: Floats, temperature: float) -> Floats:
    powers = [q ** (1 / temperature) for q in p]
    return np.array([power / sum(powers) for power in powers])


def mean(rows: list[tuple[float, Floats, Floats]]) -> list[Row]:
    """Rows of a mean: each share over how many they are."""
    return [Row(share / len(rows), target, features) for share, target, features in rows]
