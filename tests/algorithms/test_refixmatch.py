"""ReFixMatch against its formula, row by row."""

import numpy as np
from match_scene import Row, Scene, hot, mean, sharper


def test_loss_and_gradient() -> None:
    scene = Scene("refixmatch", threshold=0.6, temperature=0.4, unlabeled_weight=0.7, unconfident_weight=0.3)
    output = scene.run()
    x, weak, strong = scene.features("x weak", "u weak", "u strong")
    p = scene.answers(weak)
    mask = [float(max(q) >= 0.6) for q in p]
    assert output.pseudo.mask.tolist() == mask and 0 < sum(mask) < 5
    labeled = [Row(1 / 3, hot(y), f) for y, f in zip(scene.labels, x, strict=True)]
    confident = mean([(m, hot(int(np.argmax(q))), f) for m, q, f in zip(mask, p, strong, strict=True)])
    soft = [sharper(q, 0.4) for q in p]
    others = mean([(1 - m, t, f) for m, t, f in zip(mask, soft, strong, strict=True)])
    terms = {"labeled": (1.0, labeled), "unlabeled": (0.7, confident), "unconfident": (0.3, others)}
    scene.assert_rows(terms, divergences=("unconfident",))
