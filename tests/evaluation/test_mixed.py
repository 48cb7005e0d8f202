"""Answers to mixed images, against loops in Python floats."""

import math

import pytest
import torch

from ssl_mix.evaluation import equivariance_error, mixed_answers


def test_answers_are_those_of_a_loop() -> None:
    torch.manual_seed(0)
    logits, labels_a = 3 * torch.randn(200, 7), torch.randint(0, 7, (200,))
    labels_b = (labels_a + torch.randint(1, 7, (200,))) % 7
    found = mixed_answers(logits, labels_a, labels_b)
    top1 = top2 = confidence = of_a = of_b = 0.0
    for row, a, b in zip(logits.tolist(), labels_a.tolist(), labels_b.tolist(), strict=True):
        total = sum(math.exp(value) for value in row)
        probabilities = [math.exp(value) / total for value in row]
        order = sorted(range(7), key=lambda place: -row[place])
        top1 += order[0] in (a, b)
        top2 += set(order[:2]) == {a, b}
        confidence, of_a, of_b = (
            confidence + max(probabilities),
            of_a + probabilities[a],
            of_b + probabilities[b],
        )
    wanted = [value / 200 for value in (top1, top2, confidence, of_a, of_b)]
    assert list(found) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_extremes(dtype: torch.dtype) -> None:
    a, b = torch.tensor([0, 1]), torch.tensor([1, 2])
    sure = torch.tensor([[9.0, 8, 0], [0, 9, 8]], dtype=dtype)
    assert mixed_answers(sure, a, b)[:2] == (1, 1)
    assert mixed_answers(-sure, a, b)[:2] == (0, 0)
    assert (
        mixed_answers(sure[:, :2], a[:1].expand(2), a[1:].expand(2)).top2 == 1
    )  # of two classes always both


def test_the_error_of_equivariance_is_in_units_of_the_distance() -> None:
    torch.manual_seed(1)
    a, b, lam = torch.randn(30, 5), torch.randn(30, 5), torch.rand(30)
    mixed = lam[:, None] * a + (1 - lam[:, None]) * b
    assert equivariance_error(mixed, a, b, lam) == pytest.approx(0, abs=1e-6)
    assert equivariance_error(a, a, b, 0.7) == pytest.approx(0.3)
    assert equivariance_error(100 * a, 100 * a, 100 * b, 0.7) == pytest.approx(0.3)
    seen, error, apart = torch.randn(30, 5), 0.0, 0.0
    for place in range(30):
        share = float(lam[place])
        error += math.dist(
            seen[place].tolist(),
            [share * x + (1 - share) * y for x, y in zip(a[place].tolist(), b[place].tolist(), strict=True)],
        )
        apart += math.dist(a[place].tolist(), b[place].tolist())
    assert equivariance_error(seen, a, b, lam) == pytest.approx(error / apart, rel=1e-6)


def test_bad_input_is_refused() -> None:
    logits, a, b = torch.randn(2, 3), torch.tensor([0, 1]), torch.tensor([1, 2])
    for call, told in (
        (lambda: mixed_answers(logits, a, a), "two classes each"),
        (lambda: mixed_answers(logits[:0], a[:0], b[:0]), "logits must be"),
        (lambda: mixed_answers(logits[:, :1], a, b), "2 classes or more"),
        (lambda: mixed_answers(logits, a, b + 1), "labels_b"),
        (lambda: mixed_answers(logits, a.float(), b), "labels_a must be int64"),
        (lambda: equivariance_error(logits, logits, logits, 0.5), "do not differ"),
        (lambda: equivariance_error(logits, logits, logits[:1], 0.5), "clean_b"),
    ):
        with pytest.raises(ValueError, match=told):
            call()
