"""Second classifiers for long tails."""

import numpy as np
import torch
from addon_scene import AddonScene


def test_abc_drops_a_frequent_class_as_often_as_it_is_more_frequent() -> None:
    addon = AddonScene("abc").addon
    np.testing.assert_allclose(addon.rarity(), [0.1, 1 / 6, 1 / 3, 1.0], rtol=1e-6)
    addon.shares[3] = 0
    np.testing.assert_allclose(addon.rarity(), [0.3, 0.5, 1.0, 1.0], rtol=1e-6)  # of those there are


def test_tras_takes_classes_that_are_never_drawn_for_as_rare_as_the_rarest() -> None:
    """Divided by next to nothing they had every pseudo-label."""
    addon = AddonScene("tras").addon
    addon.shares.copy_(torch.tensor([0.5, 0.3, 0.2, 0.0]))
    given = np.array([[0.7, 0.2, 0.06, 0.04]])
    expected = given / [0.5, 0.3, 0.2, 0.2]
    found, _ = addon.correct(torch.from_numpy(given))
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


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
