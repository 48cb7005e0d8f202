"""Noisy Student against float64 NumPy."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from neighbor_scene import cross_entropy, hard
from ssl_reference import softmax
from ssl_scene import CLASSES, LABELED, UNLABELED, Recorder, flat

from ssl_mix.algorithms import NoisyStudent
from ssl_mix.errors import UserError
from ssl_mix.types import Batch, Nets, Samples, Step, Task


def test_the_student_learns_soft_answers_of_the_network_as_it_was() -> None:
    draw = np.random.default_rng(0)
    algorithm, student = NoisyStudent(threshold=0.6, unlabeled_weight=0.5), Recorder(draw, 2.0)
    algorithm.extend(student, Task(CLASSES, UNLABELED, (12, 2, 2), LABELED))
    first = student.weights.copy()
    with torch.no_grad():
        student.head.weight += 0.1
    x, plain, strong = (draw.standard_normal((n, 12, 2, 2)) for n in (4, 30, 30))
    labels = draw.integers(CLASSES, size=4)
    batch = Batch(
        Samples({"strong": torch.from_numpy(x)}, None, torch.from_numpy(labels)),
        Samples({"plain": torch.from_numpy(plain), "strong": torch.from_numpy(strong)}),
    )
    output = algorithm(Nets(student, student), batch, Step(1, 2))
    q = softmax(flat(plain) @ first.T)
    mask = q.max(axis=1) >= 0.6
    labeled = cross_entropy(flat(x) @ student.weights.T, hard(labels)).mean()
    unlabeled = (mask * cross_entropy(flat(strong) @ student.weights.T, q)).mean()
    assert output.loss.item() == pytest.approx(labeled + 0.5 * unlabeled, rel=1e-6)
    assert 0 < mask.mean() < 1
    output.loss.backward()
    assert all(weight.grad is None for weight in algorithm.first.parameters())


def test_random_weights_are_refused() -> None:
    net: Any = Recorder(np.random.default_rng(0), 1.0)
    with pytest.raises(UserError, match="`pretrained=RUN`"):
        NoisyStudent().begin(Nets(net, copy.deepcopy(net)), [])
