"""AdaMatch against its formulas, row by row: two passes, interpolated logits, alignment to what is predicted
for labeled images, and a threshold relative to it."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from match_scene import CLASSES, Row, Scene, hot, mean, shares

from ssl_mix.targets import PLAIN


@pytest.mark.parametrize("options", [{}, {"threshold": 1.0, "unlabeled_weight": 2.0}, {"ramp": 0.0}])
def test_three_steps(options: dict[str, Any]) -> None:
    scene = Scene("adamatch", average_decay=0.4, **options)
    threshold = scene.algorithm.threshold
    a, r, masks = np.full(CLASSES, 1 / CLASSES), np.full(CLASSES, 1 / CLASSES), []
    for number in (20, 40, 90):
        output = scene.run(number)
        x, x_strong, weak, strong = scene.features("x weak", "x strong", "u weak", "u strong")
        alone = np.concatenate(scene.features("x weak", "x strong"))
        drawn = torch.rand(6, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        pairs = zip(np.concatenate((x, x_strong)), alone, drawn.numpy(), strict=True)
        between = [f + lam[:, None] * (g - f) for f, g, lam in pairs]  # features for each class

        shown = [shares((scene.weights * wide).sum(axis=1)) for wide in between[:3]]
        p = scene.answers(weak)
        a, r = (0.4 * old + 0.6 * sum(new) / len(new) for old, new in ((a, p), (r, shown)))
        q = [row * r / a / sum(row * r / a) for row in p]
        mask = [float(max(row) >= threshold * sum(max(s) for s in shown) / 3) for row in q]
        masks += mask
        np.testing.assert_allclose(output.pseudo.confidence, [max(row) for row in q], rtol=1e-8)
        unlabeled = [(m, hot(int(np.argmax(row))), f) for m, row, f in zip(mask, q, strong, strict=True)]
        ramp = scene.algorithm.ramp
        rise = 0.5 - math.cos(min(math.pi, math.pi * number / 100 / ramp)) / 2 if ramp else 1.0
        labeled = [Row(1 / 6, hot(y), f) for y, f in zip([*scene.labels] * 2, between, strict=True)]
        weight = rise * scene.algorithm.unlabeled_weight
        scene.assert_rows({"labeled": (1.0, labeled), "unlabeled": (weight, mean(unlabeled))})
        scene.commit()
    assert 0 < sum(masks) < len(masks)


def test_the_pass_over_labeled_images_moves_no_running_statistics() -> None:
    moved = []
    for interpolation in (True, False):
        scene = Scene("adamatch", interpolation=interpolation)
        scene.run()
        moved.append(scene.student.norm.running_mean)
    assert torch.equal(*moved)


def test_without_alignment_and_interpolation_it_is_a_relative_threshold() -> None:
    scene = Scene("adamatch", interpolation=False, targets=PLAIN)
    x, _, weak, _ = scene.features("x weak", "x strong", "u weak", "u strong")
    floor = 0.9 * np.mean([max(p) for p in scene.answers(x)])
    wanted = [float(max(p) >= floor) for p in scene.answers(weak)]
    assert scene.run().pseudo.mask.tolist() == wanted and 0 < sum(wanted) < 5
