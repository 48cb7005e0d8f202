"""A transfer algorithm, networks and random images, and what the reference says of them.

The network keeps what it was shown, so that the shares of mixed images can be read back. Slopes of the
reference are exact (complex steps), so that gradients are held to nine digits as values are.
"""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transfer_reference as reference
from numpy.typing import NDArray
from ssl_reference import softmax
from torch import nn
from transfer_nets import CLASSES, WIDTH, Bent, Convolutional, shaken, weights_of

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.models.pretrained import keep_source_head
from ssl_mix.types import Batch, Nets, Samples, Step, Task

SOURCES, UNLABELED = 7, 40
SHAPE = (12, 2, 2)
EXACT = 1e-9
PROGRESS = [0, 30, 100]
SECOND = {"self-tuning": "strong2", "bi-tuning": "weak2"}
SMALL: dict[str, Any] = {"depth": 3, "width": 4}
BOTH = MixingTerms(mix="dm-as")


class Scene:
    """One algorithm, its networks, and random images."""

    shape: tuple[int, int, int] = SHAPE
    make: type[nn.Module] = Bent

    def __init__(
        self, name: str, sizes: tuple[int, int] = (5, 9), seed: int = 0, scale: float = 3.0, **options: Any
    ) -> None:
        self.draw = np.random.default_rng(seed)
        self.name, self.options, self.sizes = name, options, sizes
        torch.manual_seed(seed)
        self.algorithm: Any = ALGORITHMS[name](**options)
        net: Any = shaken(self.make(), self.draw, scale)
        if name == "co-tuning":
            keep_source_head(net, shaken(nn.Linear(WIDTH, SOURCES), self.draw))
        self.start = weights_of(net)
        self.trained_at_start = {n: self.start[n] for n, _ in net.named_parameters()}
        self.student: Any = self.algorithm.extend(net, Task(CLASSES, UNLABELED, self.shape))
        self.student.double().train()
        self.algorithm.double()
        self.teacher: Any = copy.deepcopy(self.student).eval()
        for net in (self.student, self.teacher):  # away from where training began, and from each other
            for value in net.parameters():
                value.data += torch.from_numpy(0.3 * self.draw.standard_normal(value.shape))
        if name == "co-tuning":
            rows = torch.from_numpy(self.draw.dirichlet(np.ones(SOURCES), CLASSES))
            self.algorithm.get_buffer("relationship_matrix").copy_(rows)
        self.refresh()

    @property
    def mixing(self) -> MixingTerms:
        return self.options.get("mixing", MixingTerms())

    def refresh(self, labels: NDArray[Any] | None = None) -> None:
        """New images, labels and positions."""
        labeled, unlabeled = self.sizes
        shown = {
            "x": (self.algorithm.labeled_views, labeled),
            "u": (self.algorithm.unlabeled_views, unlabeled),
        }
        self.views = {
            part: {view: self.draw.standard_normal((count, *self.shape)) for view in views}
            for part, (views, count) in shown.items()
        }
        self.labels = self.draw.integers(CLASSES, size=labeled) if labels is None else labels
        self.indices = self.draw.permutation(max(UNLABELED, unlabeled))[:unlabeled] % UNLABELED

    @property
    def x(self) -> NDArray[Any]:
        return next(iter(self.views["x"].values()))

    @property
    def u(self) -> NDArray[Any]:
        return next(iter(self.views["u"].values()))

    def second(self, part: str) -> NDArray[Any]:
        return self.views[part][SECOND[self.name]]

    def run(self, number: int = 30, total: int = 100, seed: int = 0) -> Any:
        self.progress = number / total
        self.w, self.v = weights_of(self.student), weights_of(self.teacher)
        self.state = {n: b.numpy().copy() for n, b in self.algorithm.named_buffers()}
        for net in (self.student, self.teacher):
            vars(net).setdefault("shown", []).clear()
        x, u = (
            {n: torch.from_numpy(pictures) for n, pictures in self.views[part].items()} for part in ("x", "u")
        )
        labeled = Samples(x, torch.arange(len(self.labels)), torch.from_numpy(self.labels))
        unlabeled = Samples(u, torch.from_numpy(self.indices), None) if u else None
        step = Step(number, total, torch.Generator().manual_seed(seed))
        self.output = self.algorithm(Nets(self.student, self.teacher), Batch(labeled, unlabeled), step)
        return self.output

    @property
    def queue(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Keys (C, depth, width) and next slots before the step."""
        return self.state["queue.keys"], self.state["queue.next_slot"]

    def keys(self, part: str) -> NDArray[Any]:
        """What the teacher makes of the second views, by their own batch."""
        return reference.unit(
            reference.linear(self.v, "projector", reference.features(self.v, self.second(part)))
        )

    def guess(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """(Guessed classes, masks) of the student for the first unlabeled view, normalized by its batch."""
        p = softmax(reference.linear(self.w, "head", reference.features(self.w, self.u)))
        return p.argmax(axis=1), (p.max(axis=1) >= self.options.get("threshold", 0.0)).astype(float)

    def clean(self, live: dict[str, NDArray[Any]]) -> Any:
        """The loss without mixing terms."""
        f = reference.features(live, self.x)
        loss = reference.labeled(reference.linear(live, "head", f), self.labels)
        return loss + getattr(self, self.name.replace("-", "_"))(live, f)

    def expected(self, live: dict[str, NDArray[Any]] | None = None) -> Any:
        live = self.w if live is None else live
        return self.clean(live) + sum(mixing_terms(self, live).values())

    def fine_tuning(self, live: dict[str, NDArray[Any]], f: NDArray[Any]) -> float:
        return 0.0

    def l2_sp(self, live: dict[str, NDArray[Any]], f: NDArray[Any]) -> Any:
        return reference.l2_sp(live, self.trained_at_start, **self.options)

    def bss(self, live: dict[str, NDArray[Any]], f: NDArray[Any]) -> Any:
        weight, count = self.options.get("shrinkage_weight", 0.001), self.options.get("smallest", 1)
        return weight * reference.smallest_squares(f, reference.features(self.w, self.x), count)

    def co_tuning(self, live: dict[str, NDArray[Any]], f: NDArray[Any]) -> Any:
        scores = reference.linear(live, "source_head", f)
        relationship = self.state["relationship_matrix"]
        return self.options.get("source_weight", 2.3) * reference.co_tuning(scores, relationship, self.labels)

    def bi_tuning(self, live: dict[str, NDArray[Any]], f: NDArray[Any]) -> Any:
        temperature = self.options.get("temperature", 0.07)
        z = reference.unit(reference.linear(live, "projector", f))
        contrast = reference.pgc(z, self.keys("x"), self.queue[0], self.labels, temperature)
        rows = np.concatenate([self.w["head.weight"], self.w["head.bias"][:, None]], axis=1)
        contrast += reference.classifier_contrast(
            reference.with_one(f),
            reference.unit(rows),
            self.state["feature_queue.keys"],
            self.labels,
            temperature,
        )
        return self.options.get("contrast_weight", 1.0) * contrast

    def self_tuning(self, live: dict[str, NDArray[Any]], f: NDArray[Any]) -> Any:
        temperature = self.options.get("temperature", 0.07)
        total = 0.0
        keys, slots = self.queue
        for part, rows, labels in (
            ("x", f, self.labels),
            ("u", reference.features(live, self.u), self.guess()[0]),
        ):
            query = reference.unit(reference.linear(live, "projector", rows))
            total += reference.pgc(query, self.keys(part), keys, labels, temperature)
            keys, slots = reference.pushed(keys, slots, self.keys(part), labels)
        return total


class ConvScene(Scene):
    shape = 3, 4, 4
    make = Convolutional

    def __init__(self, name: str, **options: Any) -> None:
        self.chosen: dict[str, NDArray[Any]] = {}
        super().__init__(name, (4, 0), scale=1.0, **options)

    def norm(self, live: dict[str, NDArray[Any]], name: str, x: NDArray[Any]) -> NDArray[Any]:
        if self.name == "delta":
            return reference.by_batch(live, name, x)
        return reference.stoch_norm(live, name, x, self.chosen[name])

    def clean(self, live: dict[str, NDArray[Any]]) -> Any:
        maps, f = reference.convolutional(live, self.x, self.norm)
        loss = reference.labeled(reference.linear(live, "head", f), self.labels)
        if self.name == "stochnorm":
            return loss
        start, _ = reference.convolutional(self.start, self.x, reference.by_running)
        feature_weight, head_weight = (self.options.get(f"{n}_weight", 0.01) for n in ("feature", "head"))
        loss += feature_weight / 2 * reference.delta(maps, start)
        return loss + head_weight / 2 * reference.head_squares(live)


def passes(scene: Any) -> tuple[Any, ...]:
    """What the student was shown: the clean views by name, and the mixed images."""
    clean = {f"{part} {view}": p for part, views in scene.views.items() for view, p in views.items()}
    names, mixed = [], []
    for shown in scene.student.shown:
        found = [n for n, p in clean.items() if p.shape == shown.shape and (p == shown).all()]
        names += found
        mixed += [] if found else [shown]
    return names, mixed


def shares(scene: Scene) -> tuple[Any, ...]:
    """The mixed images as shares of the clean ones: (labeled first view, unlabeled first view), (M, B) and
    (M, U)."""
    _, mixed = passes(scene)
    assert len(mixed) == 1, "all mixed images go through the network together, once"
    pictures = [reference.flat(p) for views in scene.views.values() for p in views.values()]
    back = reference.flat(mixed[0]) @ np.linalg.pinv(np.concatenate(pictures))
    np.testing.assert_allclose(back @ np.concatenate(pictures), reference.flat(mixed[0]), atol=1e-9)
    back[np.abs(back) < 1e-9] = 0
    parts = np.split(back, np.cumsum([len(p) for p in pictures])[:-1], axis=1)
    used = {"x": parts[0], "u": parts[len(scene.views["x"])] if scene.views["u"] else None}
    others = [p for p in parts if not any(p is q for q in used.values())]
    assert not any(p.any() for p in others), "second views are for keys alone"
    return used["x"], used["u"], mixed[0]


def mixing_terms(scene: Any, live: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """The weighted terms of the mixed images by name."""
    option, count = scene.mixing, len(scene.labels)
    if option.mix == "none":
        assert not passes(scene)[1]
        return {}
    of_labeled, of_unlabeled, mixed = shares(scene)
    head = "mix_head" if option.mix_head == "own" else "head"
    scores = reference.linear(live, head, reference.features(live, mixed))
    assert len(mixed) == count * (option.pairs + option.asymmetric)
    terms = {}
    if option.pairs:
        assert of_unlabeled is None or not of_unlabeled[:count].any()
        partner = [
            next((j for j in np.flatnonzero(r) if j != i), i) for i, r in enumerate(of_labeled[:count])
        ]
        lam = np.diag(of_labeled[:count])
        eta = 0.0 if option.mix == "mixup" else option.eta
        power = 1.0 if option.mix_variant == "openmixup" else 0.0
        values = reference.pair_loss(
            scores[:count], scene.labels, scene.labels[partner], lam, eta, power=power
        )
        terms["loss/labeled_pairs"] = option.mix_weight * values.mean()
    if option.asymmetric:
        mine, theirs = of_labeled[-count:], of_unlabeled[-count:]
        assert (mine - np.diag(np.diag(mine)) == 0).all() and ((theirs > 0).sum(axis=1) == 1).all()
        chosen, lam = theirs.argmax(axis=1), np.diag(mine)
        assert len(set(chosen)) == min(count, scene.sizes[1])
        assert ((lam < 0.5) == (option.mix_variant == "paper")).all()
        guess, mask = scene.guess()
        openmixup = option.mix_variant == "openmixup"
        sides = (True, openmixup)
        values = reference.pair_loss(
            scores[-count:], scene.labels, guess[chosen], lam, option.eta, sides, power=float(openmixup)
        )
        values = values * (1 if openmixup else mask[chosen])
        ramp = (1 - np.cos(np.pi * scene.progress)) / 2 if option.mix_ramp == "cosine" else 1.0
        terms["loss/asymmetric"] = option.mix_weight * ramp * values.mean()
    return terms


def slope(scene: Any, along: dict[str, NDArray[Any]]) -> np.float64:
    """d loss / d weights along a direction, exactly."""
    step = 1e-30
    live = {n: v + 1j * step * along[n] if n in along else v for n, v in scene.w.items()}
    return scene.expected(live).imag / step


def directions(scene: Any) -> list[dict[str, NDArray[Any]]]:
    """One direction through each trained tensor alone, and one through all."""
    full = {n: scene.draw.standard_normal(p.shape) for n, p in scene.student.named_parameters()}
    return [{n: d} for n, d in full.items()] + [full]


def gradients(scene: Any) -> dict[str, NDArray[Any]]:
    """Of the student's parameters, none as zeros."""
    return {
        n: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        for n, p in scene.student.named_parameters()
    }


def assert_gradients(scene: Any) -> None:
    scene.output.loss.backward()
    got = gradients(scene)
    for along in directions(scene):
        inner = sum((got[n] * d).sum() for n, d in along.items())
        assert inner == pytest.approx(slope(scene, along), rel=EXACT, abs=EXACT), list(along)


def small(name: str) -> dict[str, Any]:
    return SMALL if name in SECOND else {}
