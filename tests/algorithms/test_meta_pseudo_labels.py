"""Meta Pseudo Labels of linear networks, whose gradients are known in closed form."""

from typing import Any

import numpy as np
import pytest
import torch
from neighbor_scene import Array, cross_entropy, hard, numbers
from ssl_reference import softmax
from ssl_scene import Scene, flat

OPTIONS: dict[str, Any] = {"threshold": 0.5, "unlabeled_weight": 2.0, "ramp": 0.9, "lookahead": 0.7}


def scene_of(**options: Any) -> Scene:
    scene = Scene("meta-pseudo-labels", (5, 30), **OPTIONS, **options)
    scene.student.double()
    with torch.no_grad():
        scene.algorithm.tutor.head.weight += 0.3 * torch.randn_like(scene.student.head.weight)
    return scene


def mean_loss(weights: Array, pictures: Array, labels: Array) -> float:
    return float(cross_entropy(flat(pictures) @ weights.T, hard(labels)).mean())


def expected(scene: Scene, student: Array) -> tuple[dict[str, float], Array]:
    """Terms and mask; the step of the student is by the gradient ``(softmax(z) - onehot)^T x / N``."""
    x, weak, strong = (scene.views[name] for name in ("x", "weak", "strong"))
    tutor = numbers(scene.algorithm.tutor.head.weight)
    q = softmax(flat(weak) @ tutor.T)
    labels = q.argmax(axis=1)
    slope = (softmax(flat(strong) @ student.T) - hard(labels)).T @ flat(strong) / len(strong)
    moved = student - scene.options["lookahead"] * slope
    gain = mean_loss(student, x, scene.labels) - mean_loss(moved, x, scene.labels)
    mask, sharp = q.max(axis=1) >= 0.5, q ** (1 / 0.7)
    sharp /= sharp.sum(axis=1, keepdims=True)
    return {
        "loss/labeled": mean_loss(tutor, x, scene.labels),
        "loss/unlabeled": (mask * cross_entropy(flat(strong) @ tutor.T, sharp)).mean(),
        "loss/feedback": gain * mean_loss(tutor, strong, labels),
        "loss/student": mean_loss(student, strong, labels),
    }, mask


def test_terms_and_mask() -> None:
    scene = scene_of()
    output = scene.run(number=30)
    wanted, mask = expected(scene, scene.student.weights)
    assert {name: output.metrics[name].item() for name in wanted} == pytest.approx(wanted, rel=1e-6)
    weights = {"loss/labeled": 1, "loss/unlabeled": 2 * 0.3 / 0.9, "loss/feedback": 1, "loss/student": 1}
    assert output.loss.item() == pytest.approx(sum(weights[n] * v for n, v in wanted.items()), rel=1e-6)
    np.testing.assert_array_equal(output.pseudo.mask, mask)
    assert 0 < mask.mean() < 1 and abs(wanted["loss/feedback"]) > 1e-3


def test_each_network_learns_from_its_own_loss() -> None:
    """No gradient of the feedback reaches the student, and none of the student's loss the tutor."""
    scene = scene_of(feedback_weight=3.0)
    scene.run().loss.backward()
    wanted, _ = expected(scene, scene.student.weights)
    x, strong = flat(scene.views["x"]), flat(scene.views["strong"])
    tutor, student = numbers(scene.algorithm.tutor.head.weight), scene.student.weights
    q = softmax(flat(scene.views["weak"]) @ tutor.T)
    labels = hard(q.argmax(axis=1))
    slope = (softmax(strong @ student.T) - labels).T @ strong / len(strong)
    np.testing.assert_allclose(scene.student.head.weight.grad, slope, rtol=1e-6, atol=1e-9)
    gain = wanted["loss/feedback"] / mean_loss(tutor, scene.views["strong"], q.argmax(axis=1))
    sharp = q ** (1 / 0.7) / (q ** (1 / 0.7)).sum(axis=1, keepdims=True)
    mask = (q.max(axis=1) >= 0.5)[:, None]
    answer = softmax(strong @ tutor.T)
    slope = (softmax(x @ tutor.T) - hard(scene.labels)).T @ x / len(x)
    slope += 2 * 0.3 / 0.9 * (mask * (answer - sharp)).T @ strong / len(strong)
    slope += 3 * gain * (answer - labels).T @ strong / len(strong)
    np.testing.assert_allclose(scene.algorithm.tutor.head.weight.grad, slope, rtol=1e-6, atol=1e-9)


def test_the_feedback_is_positive_where_the_student_learns_what_the_labels_say() -> None:
    """A step on a labeled image with its own label lowers the loss on it."""
    scene = scene_of()
    scene.views = dict.fromkeys(scene.views, scene.views["x"][:1])
    scene.labels, scene.indices = scene.labels[:1], scene.indices[:1]
    with torch.no_grad():
        scene.algorithm.tutor.head.weight.zero_()
        scene.algorithm.tutor.head.weight[scene.labels[0]] = 0.05 * torch.from_numpy(
            flat(scene.views["x"])[0]
        )
    assert scene.run().metrics["loss/feedback"] > 0
