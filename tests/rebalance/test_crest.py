"""CReST against loops in float64 that were written from the paper's sections 3.2 to 3.4."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from addon_scene import CLASSES, PRIOR, AddonScene, shares
from match_scene import Floats
from torch import Tensor

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.errors import UserError
from ssl_mix.targets import Targets
from ssl_mix.types import Task

LABELED = 3


@pytest.fixture(autouse=True)
def number_of_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes tell how many images are labeled."""
    monkeypatch.setattr("match_scene.Task", lambda *sizes: Task(*sizes, LABELED))


def chosen(classes: list[int], confidence: Floats, prior: Floats) -> dict[int, int]:
    """Images that join the labels and their classes: the paper ranks classes by N_1 >= ... >= N_C."""
    ranked = sorted(range(len(prior)), key=lambda c: -prior[c])
    joined: dict[int, int] = {}
    for rank, c in enumerate(ranked):
        images = [n for n in range(len(classes)) if classes[n] == c]
        mu = (prior[ranked[len(prior) - 1 - rank]] / prior[ranked[0]]) ** (1 / 3)
        images.sort(key=lambda n: -confidence[n])
        joined |= dict.fromkeys(images[: int(mu * len(images))], c)
    return joined


@pytest.mark.parametrize("name", ["crest", "crest+"])
def test_rounds(name: Any) -> None:
    """Twelve steps, a round each two."""
    scene = AddonScene(name, labeled=LABELED, unlabeled=8, threshold=0.3)
    last: dict[int, tuple[int, float]] = {}
    joined: dict[int, int] = {}
    average, replaced = np.full(CLASSES, 1 / CLASSES), 0
    for number in range(12):
        if number % 2 == 0:
            known = [last.get(n, (-1, 0.0)) for n in range(12)]
            joined = chosen([c for c, _ in known], np.array([p for _, p in known]), PRIOR)
        own = scene.labels.copy(), scene.views["x weak"].copy()
        output = scene.run(number, 12, seed=number)
        given = places(scene, joined, number)
        for row, partner in given.items():
            scene.labels[row] = joined[int(scene.indices[partner])]
            scene.views["x weak"][row] = scene.views["u weak"][partner]
        of_x, of_weak, of_strong = scene.parts()
        supervised = [-math.log(p[y]) for p, y in zip(scene.answers(of_x), scene.labels, strict=True)]
        assert output.metrics["loss/labeled"].item() == pytest.approx(sum(supervised) / LABELED, rel=1e-6)
        assert output.metrics["joined"].item() == pytest.approx(len(given) / LABELED)
        plain = scene.answers(of_weak)
        answers = plain
        if name == "crest+":
            keep = min(0.999, (number + 1) / (number + 2))
            average = keep * average + (1 - keep) * sum(plain) / len(plain)
            wanted = PRIOR ** (1 - 0.5 * (number // 2) / 5)
            answers = [p * wanted / wanted.sum() / average for p in plain]
            answers = [p / p.sum() for p in answers]
        np.testing.assert_allclose(output.pseudo.confidence, [max(p) for p in answers], rtol=1e-6)
        cost = sum(
            -math.log(shares(scene.weights @ f)[int(np.argmax(p))])
            for p, f in zip(answers, of_strong, strict=True)
            if max(p) >= 0.3
        )
        assert output.metrics["loss/unlabeled"].item() == pytest.approx(cost / 8, rel=1e-6)
        for slot, p in zip(scene.indices.tolist(), plain, strict=True):
            last[slot] = int(np.argmax(p)), 1 - float(np.float16(1 - max(p)))
        scene.labels, scene.views["x weak"] = own
        replaced += len(given)
        scene.commit()
        assert scene.addon.joined.tolist() == [joined.get(n, -1) for n in range(12)]
    assert replaced > 5


def places(scene: AddonScene, joined: dict[int, int], seed: int) -> dict[int, int]:
    """Labeled rows that give way, and the unlabeled rows that take their places: none twice while there are
    others."""
    draw = torch.Generator().manual_seed(seed)
    chance: Tensor = torch.rand(LABELED, generator=draw)
    keys = torch.randperm(8, generator=draw).tolist()
    members = [row for row in range(8) if int(scene.indices[row]) in joined]
    members.sort(key=lambda row: -keys[row])
    share = len(joined) / (LABELED + len(joined))
    rows = [row for row in range(LABELED) if chance[row] < share] if members else []
    return {row: members[place % len(members)] for place, row in enumerate(rows)}


def test_what_crest_cannot_do_is_refused() -> None:
    with pytest.raises(UserError, match="SimMatch remembers every labeled image by itself.*: leave it out"):
        ALGORITHMS["simmatch"](targets=Targets(rebalance="crest"))
    with pytest.raises(UserError, match="`rebalance=crest\\+` aligns pseudo-labels by itself"):
        Targets(rebalance="crest+", align="uniform")
    algorithm = ALGORITHMS["fixmatch"](targets=Targets(rebalance="crest"))
    with pytest.raises(UserError, match="CReST needs the number of labeled images"):
        algorithm.extend(torch.nn.Linear(2, 2), Task(2, 8, (1, 1, 2)))
