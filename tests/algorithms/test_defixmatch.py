"""DeFixMatch against its formula, row by row, and what it is for: a risk that pseudo-labels do not bias."""

import numpy as np
import pytest
import torch
from match_scene import Row, Scene, hot, mean

from ssl_mix.targets import Targets


def test_loss_and_gradient() -> None:
    scene = Scene("defixmatch", seed=1, labeled=4, threshold=0.6, unlabeled_weight=0.7)
    scene.run()
    x, weak, x_strong, strong = scene.features("x weak", "u weak", "x strong", "u strong")

    def against(gentle: list[np.ndarray], altered: np.ndarray) -> list[Row]:
        guesses = [(float(max(p) >= 0.6), hot(int(np.argmax(p)))) for p in gentle]
        return mean([(m, t, f) for (m, t), f in zip(guesses, altered, strict=True)])

    labeled = [Row(1 / 8, hot(y), f) for y, f in zip([*scene.labels] * 2, [*x, *x_strong], strict=True)]
    unlabeled, debiasing = against(scene.answers(weak), strong), against(scene.answers(x), x_strong)
    assert 0 < sum(row.share for row in unlabeled) < 1 and 0 < sum(row.share for row in debiasing) < 1
    scene.assert_rows(
        {"labeled": (1.0, labeled), "unlabeled": (0.7, unlabeled), "debiasing": (-0.7, debiasing)}
    )


@pytest.mark.parametrize(
    "targets", [Targets(), Targets(align="uniform"), Targets(smooth_targets=0.3)], ids=str
)
def test_with_the_same_images_in_both_parts_it_is_the_supervised_loss(targets: Targets) -> None:
    scene = Scene("defixmatch", labeled=5, threshold=0.4, targets=targets)
    for view in ("weak", "strong"):
        scene.views[f"u {view}"] = scene.views[f"x {view}"]
    output = scene.run()
    assert output.metrics["loss/unlabeled"] > 0
    torch.testing.assert_close(output.loss, output.metrics["loss/labeled"])
