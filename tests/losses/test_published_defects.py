"""What goes wrong in the published decoupled mixup goes right here; and label smoothing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ssl_mix.losses import (
    DecoupledMixupLoss,
    decoupled_cross_entropy,
    decoupled_mixup_cross_entropy,
    mixup_cross_entropy,
)
from ssl_mix.types import MixedTarget


def batch(classes: int = 6, samples: int = 10) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(samples, classes, generator=draw, dtype=torch.float64)
    labels_a = torch.randint(classes, (samples,), generator=draw)
    labels_b = (labels_a + torch.randint(1, classes, (samples,), generator=draw)) % classes
    return logits, labels_a, labels_b, torch.rand(samples, generator=draw, dtype=torch.float64)


def test_b1_b2_the_chosen_side_follows_each_samples_own_lam_and_not_the_class_order(
    reference: Any, assert_close: Callable[..., Any]
) -> None:
    logits, a, b, lam = batch()
    columns = [column.numpy() for column in (logits, a, b, lam)]
    expected = [
        -(reference.log_phi(z, i, j) if weight < 0.5 else reference.log_phi(z, j, i))
        for z, i, j, weight in zip(*columns, strict=True)
    ]
    assert_close(decoupled_cross_entropy(logits, a, b, lam, sides="minor", reduction="none"), expected)


def test_permuting_the_classes_permutes_the_gradient() -> None:
    logits, a, b, lam = batch()
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    place = order.argsort()

    def gradient(z: Tensor, first: Tensor, second: Tensor) -> Tensor:
        z = z.clone().requires_grad_()
        loss = decoupled_mixup_cross_entropy(z, first, second, lam, sides="minor", eta_power=0.5)
        return torch.autograd.grad(loss, z)[0]

    permuted = gradient(logits[:, order], place[a], place[b])
    torch.testing.assert_close(permuted, gradient(logits, a, b)[:, order], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("classes", [10, 100, 1000])
def test_b3_label_smoothing_leaves_the_decoupled_term_as_it_is(classes: int) -> None:
    logits, a, b, lam = batch(classes)
    smoothed = MixedTarget(a, b, lam).dense(classes) * 0.9 + 0.1 / classes
    term = DecoupledMixupLoss(1.0)(logits, smoothed) - F.cross_entropy(logits, smoothed)
    torch.testing.assert_close(term, decoupled_cross_entropy(logits, a, b, lam), rtol=1e-10, atol=0)


def test_b6_equal_weights_and_weights_near_the_edges_are_decoupled() -> None:
    logits, a, b, _ = batch()
    expected = decoupled_cross_entropy(logits, a, b)
    for lam in (0.5, 1e-4, 1 - 1e-4):
        torch.testing.assert_close(decoupled_cross_entropy(logits, a, b, lam), expected, rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"sides": "minor"}, {"eta_power": 1.0}])
def test_without_eta_it_is_mixup_to_the_bit(options: dict[str, Any]) -> None:
    logits, *rest = batch()
    for z in (logits, logits.float(), 1e4 * logits):
        expected = mixup_cross_entropy(z, *rest, reduction="none")
        assert torch.equal(
            decoupled_mixup_cross_entropy(z, *rest, eta=0.0, **options, reduction="none"), expected
        )


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 1.0])
def test_label_smoothing_of_the_criterion(smoothing: float) -> None:
    logits, *rest = batch()
    target = MixedTarget(*rest)
    plain = DecoupledMixupLoss(0.0, label_smoothing=smoothing)
    expected = F.cross_entropy(logits, target.dense(6), label_smoothing=smoothing)
    torch.testing.assert_close(plain(logits, target), expected, rtol=1e-12, atol=0)
    labels = F.cross_entropy(logits, rest[0], label_smoothing=smoothing)
    torch.testing.assert_close(plain(logits, rest[0]), labels, rtol=1e-14, atol=0)
    term = DecoupledMixupLoss(0.7, label_smoothing=smoothing)(logits, target) - expected
    torch.testing.assert_close(term, 0.7 * decoupled_cross_entropy(logits, *rest), rtol=1e-11, atol=0)


def test_label_smoothing_of_dense_targets_is_pytorchs() -> None:
    logits, *rest = batch()
    dense = MixedTarget(*rest).dense(6)
    expected = F.cross_entropy(logits, dense, label_smoothing=0.1)
    torch.testing.assert_close(DecoupledMixupLoss(eta=0.0, label_smoothing=0.1)(logits, dense), expected)


def test_functional_gradients_see_through_the_closed_form() -> None:
    logits, a, b, lam = batch()

    def loss(z: Tensor) -> Tensor:
        return decoupled_mixup_cross_entropy(z, a, b, lam)

    z = logits.clone().requires_grad_()
    np.testing.assert_array_equal(torch.func.grad(loss)(logits), torch.autograd.grad(loss(z), z)[0])
