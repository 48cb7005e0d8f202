"""The criterion on soft targets of timm and torchvision, and ``MixedTarget.dense``."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torchvision.transforms import v2

from ssl_mix.losses import DecoupledMixupLoss
from ssl_mix.types import MixedTarget

OPTIONS = [
    {"sides": "both", "eta_power": 0.0},
    {"sides": "both", "eta_power": 0.5},
    {"sides": "minor", "eta_power": 0.0},
    {"sides": "major", "eta_power": 1.0},
]


def expected_losses(
    reference: Any,
    logits: NDArray[Any],
    dense: NDArray[Any],
    labels_a: NDArray[Any],
    labels_b: NDArray[Any],
    lam: Any,
    eta: float,
    **options: Any,
) -> NDArray[Any]:
    """Cross-entropy with the target as given, and the decoupled term of the classes that were mixed."""
    soft = reference.rows(reference.soft, logits, dense)
    lam = np.broadcast_to(np.float64(lam), len(logits))
    labels_b = np.where((lam == 0) | (lam == 1), labels_a, labels_b)  # A class of weight 0 has left no trace.
    return soft + eta * reference.rows(reference.decoupled, logits, labels_a, labels_b, lam, **options)


def smoothed(labels: NDArray[Any], classes: int, smoothing: float) -> NDArray[Any]:
    return np.eye(classes)[labels] * (1 - smoothing) + smoothing / classes


def random_batch(
    samples: int, classes: int, seed: int = 0
) -> tuple[NDArray[Any], NDArray[Any], np.random.Generator]:
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=samples)
    return 3 * draw.standard_normal((samples, classes)), labels, draw


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_own_soft_targets(
    reference: Any,
    assert_close: Callable[..., Any],
    classes: int,
    smoothing: float,
    options: dict[str, Any],
    reduction: str,
) -> None:
    logits, labels, draw = random_batch(24, classes)
    partners = np.where(np.arange(24) % 3, draw.permutation(labels), labels)
    lam = draw.uniform(0.05, 0.95, 24)
    lam[:6] = [0, 1, 0.8, 0, 1e-6, 1 - 1e-6]
    on, off = (smoothed(index, classes, smoothing) for index in (labels, partners))
    dense = lam[:, None] * on + (1 - lam[:, None]) * off
    expected = expected_losses(reference, logits, dense, labels, partners, lam, 0.7, **options)
    criterion = DecoupledMixupLoss(0.7, **options, reduction=reduction)
    actual = criterion(torch.from_numpy(logits), torch.from_numpy(dense))
    assert_close(actual, reference.reduce(expected, reduction))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("lam", [0.0, 0.03, 0.3, 0.9, 1.0, "per sample"])
@pytest.mark.parametrize("samples", [1, 2, 7])
def test_timm(
    reference: Any,
    assert_close: Callable[..., Any],
    smoothing: float,
    options: dict[str, Any],
    lam: float,
    samples: int,
) -> None:
    mixup_target = pytest.importorskip("timm.data.mixup").mixup_target
    logits, labels, draw = random_batch(samples, 10)
    weights = torch.from_numpy(draw.random((samples, 1))).float() if lam == "per sample" else lam
    dense = mixup_target(torch.from_numpy(labels), 10, weights, smoothing)
    shares = weights.double().numpy()[:, 0] if lam == "per sample" else lam
    columns = (logits, dense.double().numpy(), labels, labels[::-1], shares)
    expected = expected_losses(reference, *columns, 0.7, **options)
    actual = DecoupledMixupLoss(0.7, **options, reduction="none")(torch.from_numpy(logits), dense)
    # timm's targets are float32, so weights read from them are.
    assert_close(actual, expected, 1e-10 if options["eta_power"] == 0 else 1e-5)


@pytest.mark.parametrize("transform", [v2.MixUp, v2.CutMix])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("samples", [1, 6])
def test_torchvision(
    reference: Any,
    assert_close: Callable[..., Any],
    transform: type[Any],
    options: dict[str, Any],
    samples: int,
) -> None:
    logits, labels, _ = random_batch(samples, 10, seed=1)
    torch.manual_seed(3)
    labels[: samples // 2] = np.arange(samples // 2)
    images = torch.arange(samples).float()[:, None, None, None].expand(-1, 1, 8, 8)
    mixed, dense = transform(alpha=1.0, num_classes=10)(images, torch.from_numpy(labels))
    partners, lam = np.roll(labels, 1), 1.0
    if samples > 1:  # The image of sample 1 shows its lam: the partner's pixels are 0, its own are 1.
        lam = mixed[1].double().mean().item()
        assert 0.02 < abs(lam - 0.5) < 0.48
    expected = expected_losses(
        reference, logits, dense.double().numpy(), labels, partners, lam, 0.1, **options
    )
    actual = DecoupledMixupLoss(**options, reduction="none")(torch.from_numpy(logits), dense)
    assert_close(actual, expected, 1e-10 if options["eta_power"] == 0 else 1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [3, 10, 1000])
def test_targets_of_one_class_have_no_decoupled_term(
    classes: int, smoothing: float, assert_close: Callable[..., Any], reference: Any
) -> None:
    logits, labels, _ = random_batch(16, classes)
    for dense in (smoothed(labels, classes, smoothing), np.full((16, classes), 1 / classes)):
        for dtype in (torch.float64, torch.float32):
            target = torch.from_numpy(dense).to(dtype)
            expected = reference.rows(reference.soft, logits, target.double().numpy())
            criterion = DecoupledMixupLoss(1.0, eta_power=0.5, reduction="none")
            assert_close(criterion(torch.from_numpy(logits), target), expected)


def test_labels_get_plain_cross_entropy(reference: Any, assert_close: Callable[..., Any]) -> None:
    logits, labels, _ = random_batch(16, 10)
    expected = -np.array(
        [reference.log_softmax(row)[label] for row, label in zip(logits, labels, strict=True)]
    )
    actual = DecoupledMixupLoss(1.0)(torch.from_numpy(logits), torch.from_numpy(labels))
    assert_close(actual, expected.mean())


def test_mixed_and_dense_targets_give_the_same_loss() -> None:
    logits, labels, draw = random_batch(16, 10)
    lam = torch.from_numpy(draw.random(16))
    target = MixedTarget(*map(torch.from_numpy, (labels, draw.permutation(labels))), lam)
    for options in OPTIONS:
        criterion = DecoupledMixupLoss(0.7, **options)
        losses = [criterion(torch.from_numpy(logits), form) for form in (target, target.dense(10))]
        torch.testing.assert_close(*losses, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("samples", [1, 9])
def test_dense_form_of_a_mixed_target(dtype: torch.dtype, samples: int) -> None:
    draw = np.random.default_rng(0)
    labels_a, labels_b = draw.integers(4, size=(2, samples))
    lam = draw.random(samples)
    dense = MixedTarget(
        torch.from_numpy(labels_a), torch.from_numpy(labels_b), torch.from_numpy(lam).to(dtype)
    ).dense(4)
    expected = np.zeros((samples, 4))
    for row, a, b, weight in zip(expected, labels_a, labels_b, lam, strict=True):
        row[a] += weight
        row[b] += 1 - weight
    assert dense.dtype == dtype
    np.testing.assert_allclose(dense.numpy(), expected, rtol=0, atol=2 * torch.finfo(dtype).eps)
    np.testing.assert_allclose(dense.sum(1).numpy(), 1, rtol=0, atol=2 * torch.finfo(dtype).eps)
