"""Add-ons for long tails once more, whole batches in float64 NumPy, from the papers and the authors' codes,
by a reader who had not seen how they are written here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from addon_scene import CLASSES, PRIOR, AddonScene
from match_scene import Scene
from second_reading import Floats, Ints, cost, slope, softmax

from ssl_mix.quota import ClassQuota
from ssl_mix.rebalance.crest import joining, rates
from ssl_mix.rebalance.darp import denoised, refined
from ssl_mix.rebalance.saw import effective_weights
from ssl_mix.targets import Targets
from ssl_mix.types import PseudoLabels, Task

LOG_PRIOR = np.log(PRIOR)


def assert_head(scene: AddonScene, terms: Callable[[Any], dict[str, Any]]) -> None:
    """The terms of the second classifier, and its gradient."""
    for name, value in terms(scene.weights).items():
        assert scene.output.metrics[f"loss/{name}"].item() == pytest.approx(float(value), rel=1e-6)
    expected = slope(lambda own: sum(terms(own).values()), scene.weights)
    np.testing.assert_allclose(scene.student.head.weight.grad, expected, rtol=1e-6, atol=1e-9)


def uniform(*sizes: int) -> list[Floats]:
    """The numbers in [0, 1) that a step draws first."""
    draw = torch.Generator().manual_seed(0)
    return [np.asarray(torch.rand(size, generator=draw).numpy()) for size in sizes]


@pytest.mark.parametrize("number", [0, 70])
def test_abc(number: int) -> None:
    """Rare classes keep every image, others as many as these have; of unlabeled ones less and less."""
    scene = AddonScene("abc", unlabeled=9)
    scene.run(number)
    x, weak, strong = scene.parts()
    rare, (of_x, of_u) = PRIOR.min() / PRIOR, uniform(3, 9)
    q = softmax(weak @ scene.weights.T)
    kept = (q.max(axis=1) >= 0.95) * (of_u < 1 - number / 100 * (1 - rare[q.argmax(axis=1)]))
    assert 0 < kept.sum() < 9

    def terms(own: Any) -> dict[str, Any]:
        return {
            "abc_labeled": ((of_x < rare[scene.labels]) * cost(x @ own.T, scene.labels)).mean(),
            "abc_unlabeled": (kept * cost(strong @ own.T, q)).mean(),
        }

    assert_head(scene, terms)


def test_tras() -> None:
    scene = AddonScene("tras", unlabeled=9)
    scene.run()
    x, weak, strong = scene.parts()
    first = scene.student.base_head.weight.detach().numpy()
    strength = 2 * (1 / PRIOR) / (1 / PRIOR).sum() + 2
    q = softmax(weak @ scene.weights.T)
    sure = q.max(axis=1) >= 0.95
    target = np.exp(strong @ first.T / 2) / PRIOR ** (strength[q.argmax(axis=1)][:, None] / 2)
    target /= target.sum(axis=1, keepdims=True)
    assert 0 < sure.sum() < 9

    def terms(own: Any) -> dict[str, Any]:
        return {
            "tras_labeled": cost(x @ own.T + LOG_PRIOR, scene.labels).mean(),
            "tras_unlabeled": (sure * cost(strong @ own.T, target)).mean(),
        }

    assert_head(scene, terms)
    adjusted = softmax(weak @ first.T) / PRIOR
    adjusted /= adjusted.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(scene.output.pseudo.confidence, adjusted.max(axis=1), rtol=1e-6)


@pytest.mark.parametrize("number", [79, 80])
def test_cossl(number: int) -> None:
    scene = AddonScene("cossl", labeled=9)
    scene.run(number)
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(5, generator=draw).numpy()
    chance, share = torch.rand(2, 9, generator=draw).numpy()
    x, other = scene.features("x weak", "u strong")
    mixed = chance < (PRIOR.max() - PRIOR[scene.labels]) / PRIOR.max()
    lam = np.where(mixed, 0.6 + 0.4 * share, 1.0)[:, None]
    made = lam * x + (1 - lam) * np.tile(other[order], (2, 1))[:9]
    balance = 1 / PRIOR[scene.labels] / CLASSES
    assert 0 < mixed.sum() < 9
    assert_head(scene, lambda own: {"cossl_classifier": (balance * cost(made @ own.T, scene.labels)).mean()})
    (alone,), (_, together, _) = scene.features("u weak"), scene.parts()
    first = scene.student.base_head.weight.detach().numpy()
    answers = softmax(alone @ scene.weights.T if number == 80 else together @ first.T)
    np.testing.assert_allclose(scene.output.pseudo.confidence, answers.max(axis=1), rtol=1e-6)


def test_daso() -> None:
    """The fourth class has no labeled image; a fiftieth of the run is two steps."""
    scene = AddonScene("daso")
    means: dict[int, Floats] = {}
    share = np.full(CLASSES, 1 / CLASSES)
    for number in range(5):
        scene.labels %= 3
        scene.run(number)
        (of_x,) = scene.features("x weak")
        for c in set(scene.labels.tolist()):
            mean = of_x[scene.labels == c].mean(axis=0)
            means[c] = 0.99 * means.get(c, mean) + 0.01 * mean
        classes = sorted(means)
        w = np.array([means[c] / np.linalg.norm(means[c]) for c in classes])
        _, weak, strong = scene.parts()
        near, live = (f / np.linalg.norm(f, axis=1, keepdims=True) @ w.T / 0.05 for f in (weak, strong))
        s = np.zeros((len(weak), CLASSES))
        s[:, classes] = softmax(near)
        p = softmax(weak @ scene.student.head.weight.detach().numpy().T)
        if number >= 2:
            v = (share / share.max()) ** (1 / 1.5)
            lean = v[p.argmax(axis=1)][:, None]
            p = p + lean * (s - p)
            found = scene.output.metrics["loss/daso_alignment"].item()
            assert found == pytest.approx(cost(live, softmax(near)).mean(), rel=1e-6)
        np.testing.assert_allclose(scene.output.pseudo.confidence, p.max(axis=1), rtol=1e-6)
        share = 0.99 * share + 0.01 * np.eye(CLASSES)[p.argmax(axis=1)].mean(axis=0)
        scene.commit()
        np.testing.assert_allclose(scene.addon.pseudo_share, share, rtol=1e-6)


def closest(given: Floats, sizes: Floats, rounds: int) -> Floats:
    """Rows that sum to 1 and columns that sum to the sizes, by turns; each multiplier by bisection."""
    width = -(given * np.log(given)).sum(axis=1)
    v = np.zeros(len(sizes))
    for _ in range(rounds):
        row = given * np.exp(-np.outer(width, v))
        x = 1 / row.sum(axis=1)
        for c, size in enumerate(sizes):
            low, high = -50.0, 50.0
            for _ in range(40):
                v[c] = (low + high) / 2
                above = (x * given[:, c] * np.exp(-v[c] * width)).sum() > size
                low, high = (v[c], high) if above else (low, v[c])
    row = given * np.exp(-np.outer(width, v))
    return np.asarray(row / row.sum(axis=1, keepdims=True))


def test_darp() -> None:
    """What is furthest from the sizes after ten turns is as far as with exact multipliers."""
    draw = np.random.default_rng(0)
    given, sizes = draw.dirichlet([2.0, 1.0, 0.7, 0.5], 30), 30 * PRIOR
    kept = np.zeros_like(given)
    for c in range(CLASSES):
        best = np.argsort(-given[:, c])[: int(2 * sizes[c])]
        kept[best, c] = given[best, c] * sizes[c] / given[best, c].sum()
    clean = (kept + 1e-6) / (kept + 1e-6).sum(axis=1, keepdims=True)
    found = denoised(torch.from_numpy(given), torch.from_numpy(sizes))
    np.testing.assert_allclose(found, clean, rtol=1e-5)
    result = refined(torch.from_numpy(clean), torch.from_numpy(sizes)).numpy()
    np.testing.assert_allclose(result, closest(clean, sizes, 10), atol=1e-3)
    every = closest(clean, sizes, 60)
    np.testing.assert_allclose(every.sum(axis=0), sizes, rtol=1e-4)
    assert np.abs(result - every).max() < 0.02


def test_darp_in_fixmatch() -> None:
    """Every tenth step from two fifths of the run on; between them what was refined last."""
    scene, bank = AddonScene("darp"), np.full((12, CLASSES), 1 / CLASSES)
    last = bank.copy()
    for number in (38, 39, 40, 41, 50):
        scene.run(number)
        p = softmax(scene.parts()[1] @ scene.weights.T)
        bank[scene.indices] = p
        if number in (40, 50):
            sizes = torch.from_numpy(12 * PRIOR)
            last = refined(denoised(torch.from_numpy(bank), sizes), sizes).numpy()
        expected = p if number < 40 else last[scene.indices]
        np.testing.assert_allclose(scene.output.pseudo.confidence, expected.max(axis=1), rtol=1e-5)
        assert ("adjust.addon.refined" in scene.output.carry) == (number in (40, 50))
        scene.commit()
        np.testing.assert_allclose(scene.addon.predicted, bank, rtol=1e-6)


def test_saw() -> None:
    scene, last = AddonScene("saw", threshold=0.4), np.full(12, -1)
    for number in range(4):
        scene.run(number)
        n = np.maximum(1, [(last == c).sum() for c in range(CLASSES)])
        beta = 1 - 1 / n.mean()
        effective = 1 / (1 - beta**n)
        weights = CLASSES * effective / effective.sum()
        np.testing.assert_allclose(effective_weights(torch.from_numpy(n).float()), weights, rtol=1e-5)
        p = softmax(scene.parts()[1] @ scene.weights.T)
        c, mask = p.argmax(axis=1), p.max(axis=1) >= 0.4
        np.testing.assert_allclose(scene.output.pseudo.mask, mask * weights[c], rtol=1e-5)
        last[scene.indices] = c
        scene.commit()
    assert np.ptp(weights) > 0.1


def test_debiaspl() -> None:
    scene, mean = AddonScene("debiaspl", threshold=0.5), np.array([0.6, 0.2, 0.15, 0.05])
    scene.addon.class_mean.copy_(torch.from_numpy(mean))
    for number in range(3):
        scene.run(number)
        _, weak, strong = (part @ scene.weights.T for part in scene.parts())
        mean = 0.999 * mean + 0.001 * softmax(weak).mean(axis=0)
        q = softmax(weak) / mean
        q /= q.sum(axis=1, keepdims=True)
        learned = (q.max(axis=1) >= 0.5) * cost(strong + np.log(mean), q.argmax(axis=1))
        assert scene.output.metrics["loss/unlabeled"].item() == pytest.approx(learned.mean(), rel=1e-6)
        np.testing.assert_allclose(scene.output.pseudo.confidence, q.max(axis=1), rtol=1e-6)
        scene.commit()


@pytest.mark.parametrize("prior", [[0.5, 0.3, 0.15, 0.05], [0.1, 0.2, 0.65, 0.05]])
def test_crest_takes_of_a_class_what_its_opposite_has(prior: list[float]) -> None:
    """``mu_l = (N_(C + 1 - l) / N_1)^(1/3)``, l the rank; the most confident ``floor(mu_l n_l)``."""
    draw, share = np.random.default_rng(0), np.array(prior)
    rank = np.argsort(np.argsort(-share))
    mu = (np.sort(share)[rank] / share.max()) ** (1 / 3)
    np.testing.assert_allclose(rates(torch.from_numpy(share)), mu, rtol=1e-9)
    label, sure = draw.integers(-1, 4, size=90), draw.permutation(90) / 128
    expected = np.full(90, -1)
    for c in range(CLASSES):
        own = np.flatnonzero(label == c)
        best = own[np.argsort(-sure[own])][: int(mu[c] * len(own))]
        expected[best] = c
    found = joining(torch.from_numpy(label), torch.from_numpy(1 - sure), torch.from_numpy(mu))
    assert found.tolist() == expected.tolist()


def test_crest_plus_aligns_to_shares_that_grow_more_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of six rounds of two steps; the class shares to the power of 1, 0.9, ... 0.5."""
    monkeypatch.setattr("match_scene.Task", lambda *sizes: Task(*sizes, 3))
    scene, mean = AddonScene("crest+", labeled=3, unlabeled=8), np.full(CLASSES, 1 / CLASSES)
    scene.student.norm.eval()  # so that it does not matter which labeled images give way
    for number in range(12):
        scene.run(number, 12)
        p = softmax(scene.views["u weak"].reshape(8, -1) / np.sqrt(1 + 1e-5) @ scene.weights.T)
        keep = min(0.999, (number + 1) / (number + 2))
        mean = keep * mean + (1 - keep) * p.mean(axis=0)
        q = p * PRIOR ** (1 - 0.1 * (number // 2)) / mean
        confidence = (q / q.sum(axis=1, keepdims=True)).max(axis=1)
        np.testing.assert_allclose(scene.output.pseudo.confidence, confidence, rtol=1e-6)
        scene.commit()


def threshold_of(confidence: Floats, label: Ints, k: int, rho: float) -> float:
    """Adsh, Algorithm 1: the confidence at the place ``rho`` of those taken for class k, from above."""
    ordered = np.sort(confidence[label == k])[::-1]
    place = int(len(ordered) * rho)
    return float(ordered[place - 1]) if place else np.inf


def test_adsh() -> None:
    """Confidences a hundredth apart; the head class has a fixed threshold of 0.8."""
    draw = np.random.default_rng(0)
    label, confidence = draw.integers(CLASSES, size=60), 0.405 + 0.01 * draw.permutation(60)
    quota = ClassQuota(60, CLASSES, head=0)
    order = draw.permutation(60)
    for part in (order[:35], order[35:]):
        known = order[: 35 if len(part) == 35 else 60]
        places, labels, sure = (torch.from_numpy(values) for values in (part, label[part], confidence[part]))
        found, news = quota(PseudoLabels(places, labels, sure.float(), (sure >= 0.8).float()))
        head = confidence[known][label[known] == 0]
        rho = (head >= 0.8).mean()
        levels = [threshold_of(confidence[known], label[known], k, rho) for k in range(CLASSES)]
        expected = confidence[part] >= np.array(levels)[label[part]]
        np.testing.assert_array_equal(found, expected)
        quota.enter_news(news)
    assert 0 < rho < 1 and np.ptp(levels) > 0.01


def test_adsh_in_fixmatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The head class is that with the most labels; the batch has all unlabeled images."""
    monkeypatch.setattr("match_scene.Task", lambda *sizes: Task(*sizes, 3, (0.2, 0.5, 0.2, 0.1)))
    scene = Scene("fixmatch", 10, unlabeled=12, threshold=0.7, targets=Targets(adaptive_thresholds=True))
    scene.indices = np.random.default_rng(0).permutation(12)
    scene.run()
    weak = scene.features("x weak", "u weak", "u strong")[1]
    p = softmax(weak @ scene.weights.T)
    confidence, label = p.max(axis=1), p.argmax(axis=1)
    rho = (confidence[label == 1] >= 0.7).mean()
    levels = np.array([threshold_of(confidence, label, k, rho) for k in range(CLASSES)])
    np.testing.assert_array_equal(scene.output.pseudo.mask, confidence >= levels[label])
    assert 0 < rho < 1 and (levels[np.isfinite(levels)] < 0.7).any()
