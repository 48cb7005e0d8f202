"""What MixMatch and ReMixMatch have mixed, read back from the images that they showed to the network."""

from typing import Any

import numpy as np
import pytest
import ssl_reference as reference
from numpy.typing import NDArray
from ssl_scene import CLASSES, Scene, flat

PARTS = {"mixmatch": ("x", "weak", "weak2"), "remixmatch": ("x", "strong", "strong2", "weak")}
WEIGHTS = {
    "mixmatch": {"unlabeled_weight": 100.0, "ramp": 0.4},
    "remixmatch": {"unlabeled_weight": 1.5, "unmixed_weight": 0.5, "rotation_weight": 0.5, "ramp": 1 / 64},
}


class Mixed:
    """What a mixing algorithm has shown: mixed rows as shares of the images, the unmixed passes, the
    rotations."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.parts = scene, PARTS[scene.name]
        self.sizes = [len(scene.views[part]) for part in self.parts]
        self.pictures = np.concatenate([flat(scene.views[part]) for part in self.parts])
        back = np.linalg.pinv(self.pictures)
        # Guesses come first: two views of MixMatch, one of ReMixMatch; its unmixed and its rotated images
        # come last.
        shown = scene.shown[2:] if scene.name == "mixmatch" else scene.shown[1:-2]
        self.passes = [flat(pictures) @ back for pictures in shown]
        for shares, pictures in zip(self.passes, shown, strict=True):
            np.testing.assert_allclose(shares @ self.pictures, flat(pictures), atol=1e-9)

    @property
    def rotated(self) -> NDArray[Any]:
        return self.scene.shown[-1]

    @property
    def turns(self) -> NDArray[Any]:
        """By how many quarter turns each strong view was rotated."""
        pairs = zip(self.scene.views["strong"], self.rotated, strict=True)
        turns = [
            [r for r in range(4) if (np.rot90(picture, r, (1, 2)) == seen).all()] for picture, seen in pairs
        ]
        assert all(len(found) == 1 for found in turns)
        return np.concatenate(turns)

    def rows(self) -> list[tuple[int, int, np.float64]]:
        """(base, partner, lam) of each mixed image, ordered by base."""
        shares = np.concatenate(self.passes)
        order = [(int(row.argmax()), *self._pair(row)) for row in shares]
        assert sorted(base for base, _, _ in order) == list(range(len(self.pictures)))
        return sorted(order)

    @staticmethod
    def _pair(row: NDArray[Any]) -> tuple[int, np.float64]:
        visible = np.flatnonzero(np.abs(row) > 1e-7)
        base = int(row.argmax())
        assert len(visible) <= 2 and row.sum() == pytest.approx(1, abs=1e-6)
        others = [int(i) for i in visible if i != base]
        return (others[0] if others else base), row[base]


def mixing_state(scene: Scene) -> dict[str, NDArray[Any]]:
    """The moving averages after this step, as ReMixMatch begins them: plain means of all steps so far and a
    uniform one."""
    decay = min(scene.options.get("average_decay", 0.999), (1 + scene.number) / (2 + scene.number))
    p = reference.softmax(scene.logits()["weak"]).mean(axis=0)
    shares = reference.one_hot(scene.labels, CLASSES).mean(axis=0)
    return {
        "mean_prediction": reference.average(scene.state["adjust.mean_prediction"], p, decay),
        "class_share": reference.average(scene.state["adjust.class_share"], shares, decay),
    }


def guesses(scene: Scene) -> NDArray[Any]:
    temperature = scene.options.get("temperature", 0.5)
    scores = scene.logits()
    if scene.name == "mixmatch":
        mean = (reference.softmax(scores["weak"]) + reference.softmax(scores["weak2"])) / 2
        return reference.sharpen(mean, temperature)
    state = mixing_state(scene)
    p = reference.aligned(reference.softmax(scores["weak"]), state["mean_prediction"], state["class_share"])
    return reference.sharpen(p, temperature)


def mixing_terms(
    scene: Scene, weights: NDArray[Any] | None = None
) -> tuple[np.float64, dict[str, np.float64]]:
    """Total and terms; targets, mixing and rotations as they were shown."""
    weights = scene.student.weights if weights is None else weights
    mixed = Mixed(scene)
    q = guesses(scene)
    targets = np.concatenate([reference.one_hot(scene.labels, CLASSES), *[q] * (len(mixed.parts) - 1)])
    shares = np.zeros((len(targets), len(targets)))
    for base, partner, lam in mixed.rows():
        shares[base, partner] += 1 - lam
        shares[base, base] += lam
    logits = shares @ mixed.pictures @ weights.T
    squared = scene.name == "mixmatch"
    labeled, unlabeled = reference.mixed_loss(logits, shares @ targets, len(scene.labels), squared=squared)
    option = WEIGHTS[scene.name] | scene.options
    ramp = reference.ramp(scene.progress, option["ramp"])
    terms = {"loss/labeled": labeled, "loss/unlabeled": unlabeled}
    total = labeled + ramp * option["unlabeled_weight"] * unlabeled
    if not squared:
        terms["loss/unmixed"] = reference.cross_entropy(flat(scene.views["strong"]) @ weights.T, q).mean()
        head: Any = scene.algorithm.rotation_head
        scores = flat(mixed.rotated) @ head.weight.detach().numpy().T + head.bias.detach().numpy()
        terms["loss/rotation"] = reference.cross_entropy(scores, reference.one_hot(mixed.turns, 4)).mean()
        total += ramp * option["unmixed_weight"] * terms["loss/unmixed"]
        total += option["rotation_weight"] * terms["loss/rotation"]
    return total, terms
