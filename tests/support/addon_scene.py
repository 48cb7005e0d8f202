"""FixMatch with an add-on for long tails on random images in float64, for formulas written row by row."""

from typing import Any

import numpy as np
import torch
from match_scene import CLASSES, Floats, Scene, entropy, hot, shares

from ssl_mix.rebalance import Rebalance
from ssl_mix.targets import Targets

PRIOR = np.array([0.5, 0.3, 0.15, 0.05])


class AddonScene(Scene):
    """A scene whose second classifier, if it has one, differs from the first, and some of whose answers are
    certain."""

    def __init__(self, addon: Rebalance, **options: Any) -> None:
        super().__init__("fixmatch", targets=Targets(rebalance=addon), **options)
        self.addon = self.algorithm.adjust.addon
        self.addon.shares.copy_(torch.from_numpy(PRIOR))
        if self.addon.own_head:
            with torch.no_grad():
                self.student.head.weight.mul_(3.0).add_(0.1)

    def parts(self) -> list[Floats]:
        """Features of labeled, weak and strong images, that pass the network together."""
        return self.features("x weak", "u weak", "u strong")

    def assert_term(self, name: str, rows: list[tuple[float, Floats, Floats, Floats]]) -> None:
        """Its value, from rows of share, target, features and what is added to their logits."""
        value = 0.0
        for share, target, features, offset in rows:
            value += share * entropy(target, shares(self.weights @ features + offset))
        np.testing.assert_allclose(self.output.metrics[f"loss/{name}"], value, rtol=1e-6)

    def assert_gradient(self, rows: list[tuple[float, Floats, Floats, Floats]]) -> None:
        """That of the second classifier."""
        slope = np.zeros_like(self.weights)
        for share, target, features, offset in rows:
            slope += share * np.outer(shares(self.weights @ features + offset) - target, features)
        np.testing.assert_allclose(self.student.head.weight.grad, slope, rtol=1e-5, atol=1e-9)


__all__ = ["CLASSES", "PRIOR", "AddonScene", "hot", "shares"]
