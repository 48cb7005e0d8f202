"""SequenceMatch against its formula, row by row, and the view between the weak and the strong one."""

import numpy as np
import pytest
import torch
from match_scene import Floats, Row, Scene, hot, mean, sharper

from ssl_mix import UserError
from ssl_mix.augment import Augmentation
from ssl_mix.augment.cached import CachedViews


def test_loss_and_gradient() -> None:
    scene = Scene("sequencematch", unlabeled=7, threshold=0.7, temperature=0.4, sequence_weight=0.3)
    scene.run()
    x, weak, medium, strong = scene.features("x weak", "u weak", "u medium", "u strong")
    p, q = scene.answers(weak), scene.answers(medium)
    sure, middle = ([float(max(row) >= 0.7) for row in rows] for rows in (p, q))
    assert sure != middle and 0 < sum(sure) < 7

    def towards(masks: list[float], gentle: list[Floats], altered: Floats) -> list[Row]:
        soft = [sharper(row, 0.4) for row in gentle]
        return mean(list(zip(masks, soft, altered, strict=True)))

    terms = {
        "labeled": (1.0, [Row(1 / 3, hot(y), f) for y, f in zip(scene.labels, x, strict=True)]),
        "unlabeled": (
            1.0,
            mean([(m, hot(int(np.argmax(row))), f) for m, row, f in zip(sure, p, strong, strict=True)]),
        ),
        "sequence": (
            0.3,
            towards(sure, p, medium) + towards(middle, q, strong) + towards(sure, p, strong),
        ),
        "unconfident": (1.0, towards([1 - m for m in sure], p, strong)),
    }
    scene.assert_rows(terms, divergences=("sequence", "unconfident"))


def test_a_medium_view_is_between() -> None:
    """One operation where a strong view has three; without operations both are the weak view with a hole."""
    images = torch.randint(
        0, 256, (64, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    augmentation = Augmentation((0.5,) * 3, (0.5,) * 3, flip=False, padding=0)
    names = ("weak", "medium", "strong", "medium2")
    views = augmentation.views(images, names, torch.Generator().manual_seed(1))
    changed = {name: (views[name] != views["weak"]).float().mean().item() for name in names}
    assert 0 < changed["medium"] < changed["strong"] - 0.05
    assert not torch.equal(views["medium"], views["medium2"])


def test_there_are_no_features_of_medium_views() -> None:
    views = CachedViews(torch.zeros(3, 2), 1)
    with pytest.raises(UserError, match="unknown view 'medium': choose plain, weak, strong"):
        views.views(torch.zeros(1, dtype=torch.int64), ("medium",), torch.Generator())
