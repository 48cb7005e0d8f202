"""DST against its formulas, in loops, and the gradient that turns round."""

import math

import numpy as np
import pytest
import torch
from match_scene import Floats, Scene, entropy, hot, shares
from torch import nn

from ssl_mix.algorithms.dst import reversed_gradient


def through(head: nn.Module, features: Floats) -> list[Floats]:
    """Answers of a head with a hidden layer."""
    (first, a), (second, b) = (
        (layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in (head[0], head[2])
    )
    return [shares(second @ np.maximum(first @ row + a, 0) + b) for row in features]


@pytest.mark.parametrize("labeled_share", [2.0, 0.5])
def test_terms_of_three_heads(labeled_share: float) -> None:
    scene = Scene(
        "dst", 1, 3, 7, width=8, labeled_share=labeled_share, worst_weight=0.6, unlabeled_weight=0.4
    )
    output = scene.run()
    x, x_strong, weak, strong = scene.features("x weak", "x strong", "u weak", "u strong")
    guesses = [int(np.argmax(p)) for p in scene.answers(weak)]
    mask = [float(max(p) >= 0.7) for p in scene.answers(weak)]
    taught = through(scene.algorithm.pseudo_head, strong)
    worst = through(scene.algorithm.worst_head, np.concatenate((x, weak)))
    agrees = [entropy(hot(int(np.argmax(p))), v) for p, v in zip(scene.answers(x), worst, strict=False)]
    contradicts = [-math.log(1 - v[y] + 1e-6) for v, y in zip(worst[3:], guesses, strict=True)]
    wanted = {
        "labeled": np.mean([entropy(hot(y), p) for y, p in zip(scene.labels, scene.answers(x), strict=True)]),
        "labeled_strong": np.mean(
            [entropy(hot(y), p) for y, p in zip(scene.labels, scene.answers(x_strong), strict=True)]
        ),
        "unlabeled": np.mean([m * entropy(hot(y), p) for m, y, p in zip(mask, guesses, taught, strict=True)]),
        "worst": labeled_share * np.mean(agrees) + np.mean(contradicts),
    }
    assert {name: output.metrics[f"loss/{name}"].item() for name in wanted} == pytest.approx(wanted, rel=1e-6)
    weights = {"labeled": 1.0, "labeled_strong": 0.1, "unlabeled": 0.4, "worst": 0.6}
    assert output.loss.item() == pytest.approx(sum(weights[n] * wanted[n] for n in wanted), rel=1e-6)
    assert 0 < sum(mask) < 7


def test_pseudo_labels_do_not_teach_the_classifier() -> None:
    scene = Scene("dst", width=8)
    head, slopes = scene.student.head.weight, []
    for weight in (0.0, 5.0):
        scene.algorithm.unlabeled_weight = scene.algorithm.worst_weight = weight
        scene.run()
        slopes.append(head.grad.clone())
    torch.testing.assert_close(*slopes)


def test_a_gradient_that_turns_round() -> None:
    features = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    found = reversed_gradient(features, 0.3)
    torch.testing.assert_close(found, features)
    (2 * found).sum().backward()
    torch.testing.assert_close(features.grad, torch.full_like(features, -0.6))
