"""FixMatch with an add-on for long tails on random images in float64, for formulas written row by row."""

from typing import Any

import numpy as np
import torch
from match_scene import CLASSES, Floats, Scene, shares

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


__all__ = ["CLASSES", "PRIOR", "AddonScene", "shares"]
