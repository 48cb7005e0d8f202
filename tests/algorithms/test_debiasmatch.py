"""DebiasMatch against its formulas, row by row, over three steps."""

from typing import Any

import numpy as np
import pytest
from match_scene import CLASSES, Row, Scene, hot, shares


@pytest.mark.parametrize("options", [{}, {"debias": 0.4, "threshold": 0.6, "strong_weight": 0.5}])
def test_three_steps(options: dict[str, Any]) -> None:
    scene = Scene("debiasmatch", average_decay=0.4, unlabeled_weight=2.0, **options)
    threshold, debias = scene.algorithm.threshold, scene.algorithm.debias
    m, masks, labels = np.full(CLASSES, 1 / CLASSES), [], []
    for number in range(3):
        output = scene.run(number)
        x, x_strong, weak, strong = scene.features("x weak", "x strong", "u weak", "u strong")
        p = scene.answers(weak)
        m = 0.4 * m + 0.6 * sum(p) / len(p)
        q = [shares(scene.weights @ f - debias * np.log(m)) for f in weak]
        masks += (mask := [float(max(row) >= threshold) for row in q])
        labels += [int(np.argmax(row)) for row in p]
        np.testing.assert_allclose(output.pseudo.confidence, [max(row) for row in q], rtol=1e-8)
        rows = zip(mask, q, strong, strict=True)
        unlabeled = [Row(w / 5, hot(int(np.argmax(row))), f, debias * np.log(m)) for w, row, f in rows]
        of_x, of_strong = (
            [Row(1 / 3, hot(y), f) for y, f in zip(scene.labels, part, strict=True)] for part in (x, x_strong)
        )
        scene.assert_rows(
            {
                "labeled": (1.0, of_x),
                "labeled_strong": (scene.algorithm.strong_weight, of_strong),
                "unlabeled": (2.0, unlabeled),
            }
        )
        scene.commit()
        np.testing.assert_allclose(scene.algorithm.class_mean, m, rtol=1e-8)
    assert 0 < sum(masks) < 15


def test_the_favor_goes_from_pseudo_labels_into_margins() -> None:
    """A class that has been favored is predicted less, and an image of another must be told apart further."""
    scene = Scene("debiasmatch", threshold=0.0, average_decay=1.0)
    scene.run()
    before, cost = scene.output.pseudo.labels, scene.output.metrics["loss/unlabeled"]
    favored = int(before.mode().values)
    scene.algorithm.class_mean.copy_(scene.algorithm.class_mean.new_full((CLASSES,), 1e-4))
    scene.algorithm.class_mean[favored] = 0.9997
    after = scene.run().pseudo.labels
    assert favored in before and favored not in after
    assert scene.output.metrics["loss/unlabeled"] > cost + 4
