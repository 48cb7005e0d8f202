"""Pseudo-labels that add-ons for long tails correct and weigh, against loops in float64 NumPy and SciPy."""

import numpy as np
import pytest
import torch
from addon_scene import CLASSES, PRIOR, AddonScene, shares
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


def unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.sqrt((vector**2).sum()))


def test_daso_over_three_steps() -> None:
    """From the third on, which is past a fiftieth of the run; the fourth class has no labeled image."""
    scene = AddonScene("daso")
    prototypes: dict[int, np.ndarray] = {}
    m = np.full(CLASSES, 1 / CLASSES)
    for number in range(4):
        scene.labels %= 3
        output = scene.run(number)
        (near,) = scene.features("x weak")
        for c in sorted(set(scene.labels.tolist())):
            now = near[scene.labels == c].mean(axis=0)
            prototypes[c] = 0.99 * prototypes[c] + 0.01 * now if c in prototypes else now
        _, of_weak, of_strong = scene.parts()
        alignment, classes = 0.0, []
        for place, (weak, strong) in enumerate(zip(of_weak, of_strong, strict=True)):
            p, logs = shares(scene.student.head.weight.detach().numpy() @ weak), np.full((2, CLASSES), -1e9)
            for c, w in prototypes.items():
                logs[:, c] = 20 * unit(weak) @ unit(w), 20 * unit(strong) @ unit(w)
            s, s_strong = map(shares, logs)
            if number >= 2:
                v = m ** (1 / 1.5) / max(m ** (1 / 1.5))
                share = v[int(np.argmax(p))]
                p = (1 - share) * p + share * s
                alignment -= sum(s[c] * np.log(s_strong[c]) for c in prototypes) / len(of_weak)
            classes.append(int(np.argmax(p)))
            np.testing.assert_allclose(output.pseudo.confidence[place], max(p), rtol=1e-6)
        assert output.pseudo.labels.tolist() == classes
        m = 0.99 * m + 0.01 * np.bincount(classes, minlength=CLASSES) / len(classes)
        assert ("loss/daso_alignment" in output.metrics) == (number >= 2)
        if number >= 2:
            np.testing.assert_allclose(output.metrics["loss/daso_alignment"], alignment, rtol=1e-6)
        scene.commit()
        np.testing.assert_allclose(scene.addon.pseudo_share, m, rtol=1e-6)
    assert scene.addon.known.tolist() == [c in prototypes for c in range(CLASSES)]


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


def test_darp_takes_entries_beyond_twice_the_class_size_for_noise() -> None:
    draw = np.random.default_rng(1)
    given, sizes = draw.dirichlet([1.0, 1.0, 1.0], 9), np.array([5.0, 2.6, 1.4])
    scale = np.zeros_like(given)
    for c, keep in enumerate([9, 5, 2]):
        best = np.argsort(-given[:, c])[:keep]
        scale[best, c] = sizes[c] / given[best, c].sum()
    expected = given * scale + 1e-6
    found = denoised(torch.from_numpy(given), torch.from_numpy(sizes))
    np.testing.assert_allclose(found, expected / expected.sum(axis=1, keepdims=True), rtol=1e-4)


def test_darp_stays_finite_where_classes_are_empty_or_all_is_certain() -> None:
    certain = torch.eye(3)[[0, 0, 0, 1]] * (1 - 3e-6) + 1e-6
    found = refined(certain, torch.tensor([1.0, 1.0, 2.0]))
    assert found.isfinite().all() and denoised(certain, torch.tensor([4.0, 0.0, 0.0])).isfinite().all()
    torch.testing.assert_close(found.sum(dim=1), torch.ones(4))


def test_darp_begins_at_two_fifths_and_keeps_what_it_refined_for_ten_steps() -> None:
    scene = AddonScene("darp")
    for number in (39, 40, 41, 50):
        before = scene.addon.refined.clone()
        scene.run(number)
        slots, carry = torch.from_numpy(scene.indices), scene.output.carry
        now = carry.get("adjust.addon.refined", before)
        assert ("adjust.addon.refined" in carry) == (number in (40, 50))
        if number == 39:
            plain = [max(shares(scene.weights @ f)) for f in scene.parts()[1]]
            np.testing.assert_allclose(scene.output.pseudo.confidence, plain, rtol=1e-6)
        else:
            torch.testing.assert_close(scene.output.pseudo.confidence, now[slots].amax(dim=1))
        if number in (40, 50):
            sizes = torch.from_numpy(PRIOR * 12)
            known = scene.addon.predicted.clone()
            for slot, f in zip(scene.indices, scene.parts()[1], strict=True):
                known[slot] = torch.from_numpy(shares(scene.weights @ f))
            torch.testing.assert_close(now, refined(denoised(known, sizes), sizes), rtol=1e-5, atol=1e-8)
        scene.commit()


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


def test_saw_weighs_by_the_pseudo_labels_of_earlier_steps() -> None:
    scene, last = AddonScene("saw", threshold=0.4), np.full(12, -1)
    for number in range(4):
        output = scene.run(number)
        weights = effective_weights(torch.tensor([float((last == c).sum()) for c in range(CLASSES)]))
        p = [shares(scene.weights @ f) for f in scene.parts()[1]]
        expected = [weights[int(np.argmax(row))].item() * (max(row) >= 0.4) for row in p]
        np.testing.assert_allclose(output.pseudo.mask, expected, rtol=1e-6)
        for slot, row in zip(scene.indices, p, strict=True):
            last[slot] = int(np.argmax(row))
        scene.commit()
        assert scene.addon.last.label.tolist() == last.tolist()
    assert np.ptp(weights.numpy()) > 0.1


def test_saw_tells_the_coverage_without_its_weights() -> None:
    scene = AddonScene("saw", threshold=0.0)
    scene.addon.last.counts.copy_(torch.tensor([0, 12, 0, 0, 0]))  # so that other classes weigh more
    output = scene.run()
    assert output.metrics["coverage"] == 1 and output.pseudo.mask.mean() > 1.01


def test_debiaspl_over_three_steps() -> None:
    """Pseudo-labels less the favor, and margins by it, with the average so moved that both are seen."""
    scene = AddonScene("debiaspl", threshold=0.5)
    m = np.array([0.6, 0.2, 0.15, 0.05])
    scene.addon.class_mean.copy_(torch.from_numpy(m))
    for number in range(3):
        output = scene.run(number)
        of_weak, of_strong = scene.parts()[1:]
        first = scene.weights
        p = [shares(first @ f) for f in of_weak]
        m = 0.999 * m + 0.001 * sum(p) / len(p)
        q = [shares(first @ f - np.log(m)) for f in of_weak]
        cost = 0.0
        for row, f in zip(q, of_strong, strict=True):
            margin = shares(first @ f + np.log(m))[int(np.argmax(row))]
            cost -= float(max(row) >= 0.5) * np.log(margin) / len(q)
        np.testing.assert_allclose(output.pseudo.confidence, [max(row) for row in q], rtol=1e-6)
        np.testing.assert_allclose(output.metrics["loss/unlabeled"], cost, rtol=1e-6)
        assert cost > 0
        scene.commit()
        np.testing.assert_allclose(scene.addon.class_mean, m, rtol=1e-6)


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
