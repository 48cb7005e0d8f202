"""Dash against its formulas, row by row, over the warm-up, the falls of its threshold, and its end."""

import math

import numpy as np
import pytest
from match_scene import Row, Scene, entropy, hot, mean, sharper


def test_a_whole_run() -> None:
    scene = Scene("dash", warmup=0.1, falls=6, gamma=2.0, lowest_loss=0.1, slack=1.1, unlabeled_weight=2.0)
    first, chosen, soft = 0.0, [], []
    for number in range(30):
        output = scene.run(number, total=30)
        x, weak, strong = scene.features("x weak", "u weak", "u strong")
        p = scene.answers(weak)
        labeled = [Row(1 / 3, hot(y), f) for y, f in zip(scene.labels, x, strict=True)]
        falls = math.floor(6 * max(0, number - 3) / 27)
        rho = max(0.1, 1.1 * (first if number else math.log(4)) / 2.0**falls)
        soft.append(rho > 0.1)
        target = [sharper(q, 0.5) if rho > 0.1 else hot(int(np.argmax(q))) for q in p]
        mask = [float(number >= 3 and entropy(t, q) <= rho) for t, q in zip(target, p, strict=True)]
        chosen += mask[:] if number >= 3 else []
        unlabeled = mean(list(zip(mask, target, strong, strict=True)))
        scene.assert_rows({"labeled": (1.0, labeled), "unlabeled": (2.0, unlabeled)})
        assert output.pseudo.mask.tolist() == mask
        if number < 3:
            loss = output.metrics["loss/labeled"].item()
            first = (number * first + loss) / (number + 1)
        scene.commit()
        assert scene.algorithm.labeled_loss.item() == pytest.approx(first, rel=1e-6)
    assert soft[0] and 0 < np.mean(chosen) < 1


def test_from_the_lowest_threshold_on_labels_are_hard() -> None:
    scene = Scene("dash", warmup=0.0, falls=100, lowest_loss=0.3)
    mask = scene.run(90).pseudo.mask
    _, weak, strong = scene.features("x weak", "u weak", "u strong")
    p = scene.answers(weak)
    assert mask.tolist() == [float(max(q) >= math.exp(-0.3)) for q in p] and 0 < mask.sum() < 5
    costs = [entropy(hot(int(np.argmax(q))), s) for q, s in zip(p, scene.answers(strong), strict=True)]
    wanted = np.mean(mask.numpy() * costs)
    assert scene.output.metrics["loss/unlabeled"].item() == pytest.approx(wanted)
