"""A semi-supervised algorithm, networks and random images, and what the reference says of them.

The network is linear in the pixels, so that the reference needs none of the package; it keeps what it was
shown, so that what was mixed, moved or rotated can be read back.
"""

from typing import Any

import numpy as np
import pytest
import ssl_reference as reference
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.types import Batch, Nets, Samples, Step, Task

CLASSES, UNLABELED, LABELED = 5, 40, 12
SHAPE = (12, 2, 2)
PIXELS = 48
SIZES = [(5, 9), (1, 3), (3, 8)]
PROGRESS = [0, 30, 100]
SLOPE = 1e-6


class Recorder(nn.Module):
    """A linear classifier of pixels that keeps what it was shown."""

    num_features = PIXELS

    def __init__(self, draw: np.random.Generator, scale: float) -> None:
        super().__init__()
        self.head = nn.Linear(PIXELS, CLASSES, bias=False, dtype=torch.float64)
        self.head.weight.data = torch.from_numpy(
            scale * draw.standard_normal((CLASSES, PIXELS)) / PIXELS**0.5
        )
        self.shown: list[NDArray[Any]] = []

    def features(self, pictures: Tensor) -> Tensor:
        self.shown.append(pictures.detach().numpy())
        return pictures.flatten(1)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.features(pictures))

    @property
    def weights(self) -> NDArray[Any]:
        return self.head.weight.detach().numpy()


def flat(pictures: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(pictures).reshape(len(pictures), -1)


def of_every_row(scores: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(scores).argmax(axis=1)


class Scene:
    """One algorithm, its networks and random images; scale 3 makes about half of the guesses confident."""

    def __init__(
        self, name: str, sizes: tuple[int, int] = (5, 9), seed: int = 0, scale: float = 3.0, **options: Any
    ) -> None:
        self.draw = np.random.default_rng(seed)
        self.name, self.options, self.sizes = name, options, sizes
        torch.manual_seed(seed)
        self.algorithm: Any = ALGORITHMS[name](**options)
        net = Recorder(self.draw, scale)
        self.teacher: Any = Recorder(self.draw, scale)
        self.student: Any = self.algorithm.extend(net, Task(CLASSES, UNLABELED, SHAPE, LABELED))
        self.algorithm.double()
        self.refresh()

    def refresh(self) -> None:
        """New images, labels and positions."""
        labeled, unlabeled = self.sizes
        self.views = {"x": self.draw.standard_normal((labeled, *SHAPE))}
        for view in self.algorithm.unlabeled_views:
            self.views[view] = self.draw.standard_normal((unlabeled, *SHAPE))
        self.labels = self.draw.integers(CLASSES, size=labeled)
        self.indices = self.draw.permutation(max(UNLABELED, unlabeled))[:unlabeled] % UNLABELED

    def run(self, number: int = 30, total: int = 100, seed: int = 0) -> Any:
        self.number, self.progress = number, number / total
        self.state = {k: v.numpy().copy() for k, v in self.algorithm.named_buffers()}
        self.student.shown.clear()
        tensors = {name: torch.from_numpy(pictures) for name, pictures in self.views.items()}
        unlabeled = {name: pictures for name, pictures in tensors.items() if name != "x"}
        labels, indices = torch.from_numpy(self.labels), torch.from_numpy(self.indices)
        batch = Batch(
            Samples({"weak": tensors["x"]}, torch.arange(len(labels)), labels),
            Samples(unlabeled, indices, None),
        )
        step = Step(number, total, torch.Generator().manual_seed(seed))
        self.output = self.algorithm(Nets(self.student, self.teacher), batch, step)
        return self.output

    @property
    def shown(self) -> list[NDArray[Any]]:
        return self.student.shown

    @property
    def state_names(self) -> list[Any]:
        return [name for name, _ in self.algorithm.named_buffers()]

    def logits(self, weights: NDArray[Any] | None = None) -> dict[str, NDArray[Any]]:
        """Of every view by the student, and of what the other pass answers to ("target") or what VAT
        moved."""
        weights = self.student.weights if weights is None else weights
        scores = {name: flat(pictures) @ weights.T for name, pictures in self.views.items()}
        if self.name == "pi-model":
            scores["target"] = scores["weak2"]
        if self.name == "mean-teacher":
            scores["target"] = flat(self.views["weak2"]) @ self.teacher.weights.T
        if self.name == "vat":
            scores["moved"] = flat(self.shown[-1]) @ weights.T
        return scores

    def expected(self, weights: NDArray[Any] | None = None) -> tuple[Any, ...]:
        """Total, terms and mask by the reference; targets stay as they are when other ``weights`` are
        given."""
        function = {
            "pseudo-label": reference.pseudo_label,
            "pi-model": reference.consistency,
            "mean-teacher": reference.consistency,
        }.get(self.name) or getattr(reference, self.name)
        options = dict(self.options)
        if "ramp" in options:
            options["ramp_share"] = options.pop("ramp")
        if self.name in ("pi-model", "mean-teacher"):
            options.setdefault("unlabeled_weight", {"pi-model": 10.0, "mean-teacher": 50.0}[self.name])
        for name in ("radius", "probe", "power_iterations"):
            options.pop(name, None)
        fixed = self.logits()
        return function(self.logits(weights), fixed, self.labels, self.progress, self.state, **options)


def with_history(
    name: str,
    options: dict[str, Any],
    sizes: tuple[int, int] = (5, 9),
    seed: int = 0,
    steps: int = 4,
    scale: float = 3.0,
) -> Scene:
    """A scene some steps into a run, so that buffers have moved."""
    scene = Scene(name, sizes, seed, scale, **options)
    for number in range(steps if scene.state_names else 0):
        scene.algorithm.commit(scene.run(number).carry)
        scene.refresh()
    return scene


def assert_values(scene: Scene) -> None:
    loss, terms, mask = scene.expected()
    output = scene.output
    assert output.loss.shape == () and output.loss.item() == pytest.approx(loss, rel=1e-6, abs=1e-7)
    got = {key: value.item() for key, value in output.metrics.items() if key.startswith("loss/")}
    assert got == pytest.approx(terms, rel=1e-6, abs=1e-7)
    np.testing.assert_allclose(output.pseudo.mask, mask, rtol=2e-6, atol=1e-7)
