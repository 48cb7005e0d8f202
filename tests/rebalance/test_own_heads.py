"""Second classifiers for long tails against their formulas, row by row in float64."""

import numpy as np
import pytest
import torch
from addon_scene import CLASSES, PRIOR, AddonScene, hot, shares

NOTHING = np.zeros(CLASSES)


@pytest.mark.parametrize("number", [0, 70])
def test_abc(number: int) -> None:
    scene = AddonScene("abc", unlabeled=8)
    scene.run(number)
    ratio = PRIOR.min() / PRIOR
    draw = torch.Generator().manual_seed(0)
    draws_x, draws_u = torch.rand(3, generator=draw).numpy(), torch.rand(8, generator=draw).numpy()
    of_x, of_weak, of_strong = scene.parts()
    labeled = [
        (float(u < ratio[y]) / 3, hot(y), f, NOTHING)
        for u, y, f in zip(draws_x, scene.labels, of_x, strict=True)
    ]
    unlabeled = []
    for u, weak, strong in zip(draws_u, of_weak, of_strong, strict=True):
        q = shares(scene.weights @ weak)
        kept = max(q) >= 0.95 and u < 1 - number / 100 * (1 - ratio[int(np.argmax(q))])
        unlabeled.append((float(kept) / 8, q, strong, NOTHING))
    assert 0 < sum(share for share, *_ in unlabeled) < 1
    scene.assert_term("abc_labeled", labeled)
    scene.assert_term("abc_unlabeled", unlabeled)
    scene.assert_gradient(labeled + unlabeled)


def test_abc_drops_a_frequent_class_as_often_as_it_is_more_frequent() -> None:
    addon = AddonScene("abc").addon
    np.testing.assert_allclose(addon.rarity(), [0.1, 1 / 6, 1 / 3, 1.0], rtol=1e-6)
    addon.shares[3] = 0
    np.testing.assert_allclose(addon.rarity(), [0.3, 0.5, 1.0, 1.0], rtol=1e-6)  # of those there are


def test_tras() -> None:
    scene = AddonScene("tras", unlabeled=8)
    scene.run()
    first = scene.student.base_head.weight.detach().numpy()
    log_prior = np.log(PRIOR)
    strength = 2 * shares(-log_prior) + 2
    of_x, of_weak, of_strong = scene.parts()
    labeled = [(1 / 3, hot(y), f, log_prior) for y, f in zip(scene.labels, of_x, strict=True)]
    unlabeled = []
    for weak, strong in zip(of_weak, of_strong, strict=True):
        q = shares(scene.weights @ weak)
        target = shares((first @ strong - strength[int(np.argmax(q))] * log_prior) / 2)
        unlabeled.append((float(max(q) >= 0.95) / 8, target, strong, NOTHING))
    assert 0 < sum(share for share, *_ in unlabeled) < 1
    scene.assert_term("tras_labeled", labeled)
    scene.assert_term("tras_unlabeled", unlabeled)
    scene.assert_gradient(labeled + unlabeled)
    adjusted = [shares(first @ f - log_prior) for f in of_weak]
    np.testing.assert_allclose(scene.output.pseudo.confidence, [max(p) for p in adjusted], rtol=1e-6)


def test_tras_takes_classes_that_are_never_drawn_for_as_rare_as_the_rarest() -> None:
    """Divided by next to nothing they had every pseudo-label."""
    addon = AddonScene("tras").addon
    addon.shares.copy_(torch.tensor([0.5, 0.3, 0.2, 0.0]))
    given = np.array([[0.7, 0.2, 0.06, 0.04]])
    expected = given / [0.5, 0.3, 0.2, 0.2]
    found, _ = addon.correct(torch.from_numpy(given))
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


@pytest.mark.parametrize("number", [79, 80])
def test_cossl(number: int) -> None:
    """Its features, and in the last fifth its answers, are the teacher's."""
    scene = AddonScene("cossl", labeled=9)
    scene.run(number)
    draw = torch.Generator().manual_seed(0)
    order = torch.randperm(5, generator=draw).numpy()
    chance, lam = torch.rand(2, 9, generator=draw).numpy()
    of_x, of_strong = scene.features("x weak", "u strong")
    rows, made = [], 0
    for place, (y, f) in enumerate(zip(scene.labels, of_x, strict=True)):
        share = 1.0
        if chance[place] < 1 - PRIOR[y] / PRIOR.max():
            share, made = 0.6 + 0.4 * lam[place], made + 1
        mixed = share * f + (1 - share) * of_strong[order[place % 5]]
        rows.append((1 / (CLASSES * PRIOR[y]) / 9, hot(y), mixed, NOTHING))
    assert 0 < made < 9
    scene.assert_term("cossl_classifier", rows)
    scene.assert_gradient(rows)
    (alone,), (_, together, _) = scene.features("u weak"), scene.parts()
    first = scene.student.base_head.weight.detach().numpy()
    answers = [scene.weights @ f for f in alone] if number == 80 else [first @ f for f in together]
    np.testing.assert_allclose(scene.output.pseudo.confidence, [max(shares(z)) for z in answers], rtol=1e-6)


def test_cossl_leaves_the_features_alone() -> None:
    """Its loss trains nothing but its classifier."""
    scene = AddonScene("cossl")
    scene.student.norm.weight = torch.nn.Parameter(torch.ones(6, dtype=torch.float64))
    scene.student.norm.bias = torch.nn.Parameter(torch.zeros(6, dtype=torch.float64))
    scene.run()
    with_addon = scene.student.norm.weight.grad.clone()
    scene.addon.shares.fill_(1e9)  # so that its loss weighs nothing
    scene.run()
    torch.testing.assert_close(scene.student.norm.weight.grad, with_addon, rtol=1e-9, atol=0)
