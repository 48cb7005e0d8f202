"""LUMix: the formulas in float64 NumPy, where the random weight comes from, and that no weight changes
sides."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import (
    LUMixLoss,
    decoupled_mixup_cross_entropy,
    lumix_cross_entropy,
    lumix_lam,
    lumix_regularizer,
    mixup_cross_entropy,
)
from ssl_mix.types import MixedTarget

PLAIN = {"random_ratio": 0.0, "score_ratio": 0.0}


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def perturbed(
    scores: NDArray[Any],
    a: Any,
    b: Any,
    lam: np.float64,
    random_lam: np.float64,
    r1: float = 0.4,
    r2: float = 0.1,
) -> np.float64:
    if lam in (0, 1):  # one class, about which nothing is uncertain
        return lam
    with np.errstate(over="ignore"):
        score = 1 / (1 + np.exp(scores[b] - scores[a]))
    return (1 - r1 - r2) * lam + r1 * random_lam + r2 * score


def regularizer(scores: NDArray[Any], a: Any, b: Any, lam: np.float64) -> np.float64:
    """sum_k y_k max(0, b_k - p_k) with b = 1 at either class."""
    y, wanted = np.zeros(len(scores)), np.zeros(len(scores))
    y[a] += lam
    y[b] += 1 - lam
    wanted[[a, b]] = 1
    return (y * np.maximum(0, wanted - softmax(scores))).sum()


def batch(
    samples: int = 12, classes: int = 6, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, MixedTarget, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(samples, classes, generator=draw, dtype=dtype)
    labels_a, labels_b = torch.randint(classes, (2, samples), generator=draw)
    labels_b[::4] = labels_a[::4]
    lam, random_lam = torch.rand(2, samples, generator=draw, dtype=dtype)
    return logits, MixedTarget(labels_a, labels_b, lam), random_lam


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("ratios", [(0.4, 0.1), (0.0, 0.5), (1.0, 0.0), (0.5, 0.5)])
@pytest.mark.parametrize("eta", [0.0, 1.0, 0.3])
def test_formula(
    case: Any,
    reference: Any,
    assert_close: Callable[..., Any],
    reduction: str,
    ratios: tuple[float, float],
    eta: float,
) -> None:
    random_lam = np.random.default_rng(7).random(len(case.lam))
    r1, r2 = ratios
    lam = reference.rows(perturbed, *case, random_lam, r1=r1, r2=r2)
    extra = reference.rows(regularizer, *case[:3], lam)
    expected = reference.rows(reference.mixup, *case[:3], lam) + eta * extra
    tensors = tuple(map(torch.from_numpy, case))
    options = {"random_ratio": r1, "score_ratio": r2, "random_lam": torch.from_numpy(random_lam)}
    assert_close(lumix_lam(*tensors, **options), lam)
    logits, labels_a, labels_b, *_ = tensors
    found = lumix_regularizer(logits, labels_a, labels_b, torch.from_numpy(lam), reduction="none")
    assert_close(found, extra)
    actual = lumix_cross_entropy(*tensors, **options, eta=eta, reduction=reduction)
    assert_close(actual, reference.reduce(expected, reduction))


@pytest.mark.parametrize("form", ["function", "module", "dense"])
def test_without_perturbation_and_regularizer_it_is_soft_cross_entropy(form: str) -> None:
    logits, target, _ = batch()
    expected = F.cross_entropy(logits, target.dense(6))
    if form == "function":
        actual = lumix_cross_entropy(logits, *target, **PLAIN, eta=0.0)
    else:
        given = target if form == "module" else target.dense(6)
        actual = LUMixLoss(**PLAIN, eta=0.0)(logits, given)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=0)


def test_what_the_network_sees_goes_to_the_class_that_lam_weights() -> None:
    logits = torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0]])
    labels_a, labels_b = torch.tensor([0, 0]), torch.tensor([1, 1])
    lam = lumix_lam(logits, labels_a, labels_b, 0.5, random_ratio=0.0, score_ratio=1.0)
    assert lam[0] > 0.99
    assert lam[1] < 0.01


@pytest.mark.parametrize("kind", ["softmax", "bce"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("classes", [2, 6])
def test_a_dense_target_only_swaps_the_classes_with_their_weights(
    kind: str, smoothing: float, classes: int
) -> None:
    """The order is decoded by weight; with the random weight turned too, the loss is that of the original
    order."""
    logits, target, random_lam = batch(classes=classes)
    smoothing = smoothing if classes > 2 else 0.0
    turned = torch.where(target.lam < 0.5, 1 - random_lam, random_lam)
    dense = target.dense(classes) * (1 - smoothing) + smoothing / classes
    criterion = LUMixLoss(eta=0.7, kind=kind, reduction="none")
    r1, r2 = criterion.random_ratio, criterion.score_ratio
    columns = [column.numpy() for column in (logits, *target, random_lam)]
    expected = []
    for scores, a, b, lam, drawn in zip(*columns, strict=True):
        weight = perturbed(scores, a, b, lam, drawn, r1, r2)
        y = (np.eye(classes)[a] * weight + np.eye(classes)[b] * (1 - weight)) * (1 - smoothing)
        y = y + smoothing / classes
        if kind == "softmax":
            value = -(y * np.log(softmax(scores))).sum()
        else:
            value = (y * np.logaddexp(0, -scores) + (1 - y) * np.logaddexp(0, scores)).mean()
        expected.append(value + 0.7 * regularizer(scores, a, b, weight))
    np.testing.assert_allclose(criterion(logits, dense, turned), expected, rtol=1e-10)
    if smoothing == 0:
        np.testing.assert_allclose(criterion(logits, target, random_lam), expected, rtol=1e-10)


def test_beta_noise_is_symmetric_so_dense_targets_keep_the_distribution_of_the_loss() -> None:
    logits, labels = torch.zeros(20_000, 2), torch.zeros(20_000, dtype=torch.int64)
    draw = torch.Generator().manual_seed(0)
    drawn = lumix_lam(logits, labels, labels + 1, 0.5, random_ratio=1.0, score_ratio=0.0, generator=draw)
    # Beta(2, 2): mean 1/2, variance 1/20, third central moment 0; four standard errors.
    assert abs(drawn.mean() - 0.5) < 4 * (1 / 20 / 20_000) ** 0.5
    assert abs(drawn.var() - 1 / 20) < 0.002
    assert abs(((drawn - 0.5) ** 3).mean()) < 0.001


def test_normal_noise_is_clipped_and_refused_for_dense_targets() -> None:
    logits, labels = torch.zeros(20_000, 2), torch.zeros(20_000, dtype=torch.int64)
    options = {"random_ratio": 1.0, "score_ratio": 0.0, "noise": "normal"}
    drawn = lumix_lam(logits, labels, labels + 1, 0.5, **options, generator=torch.Generator().manual_seed(0))
    assert (drawn.min(), drawn.max()) == (0, 1)
    assert abs((drawn == 0).float().mean() - 0.5) < 0.015  # P(N < 0)
    assert abs((drawn == 1).float().mean() - 0.158655) < 0.011  # P(N > 1)
    with pytest.raises(UserError, match="dense"):
        LUMixLoss(noise="normal")(torch.zeros(2, 3), torch.eye(2, 3))


def test_the_generator_alone_decides_the_draw() -> None:
    logits, target, _ = batch()
    losses = [LUMixLoss(generator=torch.Generator().manual_seed(seed))(logits, target) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]
    before = torch.random.get_rng_state()
    lumix_lam(logits, *target, generator=torch.Generator().manual_seed(0))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("kind", ["softmax", "bce"])
def test_labels_are_pairs_of_one_class(kind: str) -> None:
    logits, target, _ = batch()
    labels = target.labels_a
    criterion = LUMixLoss(kind=kind, reduction="none")
    p = F.softmax(logits, dim=1).gather(1, labels[:, None])[:, 0]
    one_hot = F.one_hot(labels, 6).double()
    bce = F.binary_cross_entropy_with_logits(logits, one_hot, reduction="none").mean(1)
    expected = (bce if kind == "bce" else -p.log()) + 1 - p
    for form in (labels, MixedTarget(labels, labels, target.lam), one_hot):
        torch.testing.assert_close(criterion(logits, form), expected, rtol=1e-10, atol=1e-12)


def test_opinion_of_the_network_has_a_gradient_only_if_asked() -> None:
    logits, target, random_lam = batch()
    logits.requires_grad_()
    assert not lumix_lam(logits, *target, random_lam=random_lam).requires_grad
    attached = lumix_lam(logits, *target, random_lam=random_lam, detach=False)
    score = torch.sigmoid(torch.stack([z[a] - z[b] for z, a, b in zip(logits, *target[:2], strict=True)]))
    slope = torch.autograd.grad(attached.sum(), logits)[0]
    torch.testing.assert_close(slope, torch.autograd.grad(0.1 * score.sum(), logits)[0])

    def loss(logits: Tensor) -> Tensor:
        return lumix_cross_entropy(logits, *target, random_lam=random_lam, detach=False)

    assert torch.autograd.gradcheck(loss, logits)


def test_label_of_lumix_with_decoupled_mixup() -> None:
    logits, target, random_lam = batch()
    lam = lumix_lam(logits, *target, random_lam=random_lam)
    pair = target[:2]
    total = decoupled_mixup_cross_entropy(logits, *pair, lam, eta=0.0) + lumix_regularizer(logits, *pair, lam)
    expected = lumix_cross_entropy(logits, *target, random_lam=random_lam)
    torch.testing.assert_close(total, expected, rtol=1e-12, atol=0)
    assert torch.equal(
        decoupled_mixup_cross_entropy(logits, *pair, lam, eta=0.0), mixup_cross_entropy(logits, *pair, lam)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_logits_of_ten_thousand_are_finite(dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = (1e4 * torch.randint(-1, 2, (200, 5), generator=draw)).to(dtype).requires_grad_()
    target = MixedTarget(*torch.randint(5, (2, 200), generator=draw), torch.rand(200, generator=draw))
    for detach in (True, False):
        loss = lumix_cross_entropy(logits, *target, random_lam=0.3, detach=detach, reduction="sum")
        (slope,) = torch.autograd.grad(loss, logits)
        assert loss.dtype == torch.float32
        assert loss.isfinite()
        assert slope.isfinite().all()


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"random_ratio": 0.7, "score_ratio": 0.5}, "random_ratio"),
        ({"random_ratio": -0.1}, "random_ratio"),
        ({"score_ratio": 1.1}, "score_ratio"),
        ({"noise": "uniform"}, "noise"),
        ({"alpha": 0.0}, "alpha"),
        ({"eta": -1.0}, "eta"),
    ],
)
def test_wrong_options(wrong: dict[str, float], name: str) -> None:
    logits, target, _ = batch()
    with pytest.raises(UserError, match=name):
        lumix_cross_entropy(logits, *target, **wrong)
    with pytest.raises(UserError, match=name):
        LUMixLoss(**wrong)
