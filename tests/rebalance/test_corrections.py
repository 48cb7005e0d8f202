"""Pseudo-labels that add-ons for long tails correct and weigh, and what is at their edges."""

import numpy as np
import pytest
import torch
from addon_scene import AddonScene
from algorithm_scene import make
from match_scene import Scene
from scipy.optimize import minimize
from torch import Tensor

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.errors import UserError
from ssl_mix.rebalance import Rebalance, darp
from ssl_mix.rebalance.darp import denoised, refined
from ssl_mix.rebalance.saw import effective_weights
from ssl_mix.targets import Targets


def test_darp_refines_to_the_closest_that_has_the_class_sizes() -> None:
    """Kim et al., equation 3, by a solver that knows nothing of its dual."""
    draw = np.random.default_rng(0)
    given, sizes = draw.dirichlet([2.0, 1.0, 0.7], 7), np.array([3.5, 2.5, 1.0])
    weights = 1 / -(given * np.log(given)).sum(axis=1)

    def cost(flat: np.ndarray) -> float:
        x = flat.reshape(given.shape)
        return float((weights[:, None] * x * np.log(x / given)).sum())

    wanted = [
        {"type": "eq", "fun": lambda x: x.reshape(given.shape).sum(axis=1) - 1},
        {"type": "eq", "fun": lambda x: (x.reshape(given.shape).sum(axis=0) - sizes)[:2]},
    ]
    best = minimize(
        cost, given.ravel(), bounds=[(1e-9, 1)] * given.size, constraints=wanted, options={"ftol": 1e-12}
    )
    assert best.success
    found = refined(torch.from_numpy(given), torch.from_numpy(sizes)).numpy()
    np.testing.assert_allclose(found, best.x.reshape(given.shape), atol=2e-4)
    np.testing.assert_allclose(found.sum(axis=0), sizes, rtol=2e-3)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-12)


def test_darp_stays_finite_where_classes_are_empty_or_all_is_certain() -> None:
    certain = torch.eye(3)[[0, 0, 0, 1]] * (1 - 3e-6) + 1e-6
    found = refined(certain, torch.tensor([1.0, 1.0, 2.0]))
    assert found.isfinite().all() and denoised(certain, torch.tensor([4.0, 0.0, 0.0])).isfinite().all()
    torch.testing.assert_close(found.sum(dim=1), torch.ones(4))


def test_darp_refines_all_once_in_a_step_of_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(darp, "WARMUP", 0.0)
    monkeypatch.setattr(darp, "EVERY", 2)
    asked: list[int] = []

    def counted(given: Tensor, sizes: Tensor) -> Tensor:
        asked.append(len(given))
        return refined(given, sizes)

    monkeypatch.setattr(darp, "refined", counted)
    trainer = make(ALGORITHMS["fixmatch"](targets=Targets(rebalance="darp")), steps=3, accumulate=2)
    list(trainer.fit())
    assert asked == [len(trainer.feed.unlabeled)] * 2


@pytest.mark.parametrize("counts", [[40.0, 8.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
def test_effective_weights(counts: list[float]) -> None:
    n = [max(1.0, count) for count in counts]
    b = (sum(n) / 4 - 1) / (sum(n) / 4)
    e = [(1 - b) / (1 - b**count) for count in n]
    found = effective_weights(torch.tensor(counts))
    np.testing.assert_allclose(found, [4 * value / sum(e) for value in e], rtol=1e-4)


def test_saw_tells_the_coverage_without_its_weights() -> None:
    scene = AddonScene("saw", threshold=0.0)
    scene.addon.last.counts.copy_(torch.tensor([0, 12, 0, 0, 0]))  # so that other classes weigh more
    output = scene.run()
    assert output.metrics["coverage"] == 1 and output.pseudo.mask.mean() > 1.01


@pytest.mark.parametrize(
    ("algorithm", "addon"),
    [("mixmatch", "saw"), ("comatch", "debiaspl"), ("debiasmatch", "debiaspl"), ("defixmatch", "abc")],
)
def test_an_add_on_without_a_place_is_refused(algorithm: str, addon: Rebalance) -> None:
    with pytest.raises(
        UserError, match=f"`rebalance={addon}` is for plain pseudo-labels, and .*: leave it out"
    ):
        ALGORITHMS[algorithm](targets=Targets(rebalance=addon))


def test_refixmatch_takes_none_that_counts_for_unconfident() -> None:
    """Whatever it weighs: 1 less a weight would be below 0."""
    scene = Scene("refixmatch", threshold=0.0, targets=Targets(rebalance="saw"))
    scene.algorithm.adjust.addon.last.counts.copy_(torch.tensor([0, 12, 0, 0, 0]))
    output = scene.run()
    assert output.pseudo.mask.max() > 1 and output.metrics["loss/unconfident"] == 0
