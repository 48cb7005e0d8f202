"""Class probabilities with labels, ordinary and degenerate, for measures that are held against a loop."""

import torch
from torch import Tensor

Answers = tuple[Tensor, Tensor]  # probabilities (N, C) and labels (N,)


def drawn(count: int, classes: int, seed: int, *, sharpness: float = 2.0) -> Answers:
    """Random ones, right about every other time."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(count, classes, generator=generator, dtype=torch.float64)
    labels = torch.randint(classes, (count,), generator=generator)
    kept = torch.rand(count, generator=generator) < 0.5
    return logits.softmax(dim=1), torch.where(kept, logits.argmax(dim=1), labels)


def answered() -> dict[str, Answers]:
    """By what is odd about them."""
    probs, labels = drawn(257, 7, 0)
    best = probs.argmax(dim=1)
    steps = torch.randint(1, 4, (60, 4), generator=torch.Generator().manual_seed(1)).double()
    sure = torch.eye(5, dtype=torch.float64)[torch.arange(23) % 5]
    return {
        "random": (probs, labels),
        "float32": (probs.float(), labels),
        "float16": (probs.half(), labels),
        "bfloat16": (probs.bfloat16(), labels),
        "all right": (probs, best),
        "all wrong": (probs, (best + 1) % 7),
        "labels of one class": (probs, torch.full_like(labels, 3)),
        "one class": (torch.ones(6, 1), torch.zeros(6, dtype=torch.int64)),
        "ties": (steps / steps.sum(dim=1, keepdim=True), torch.arange(60) % 4),
        "all alike": (torch.full((20, 8), 1 / 8), torch.arange(20) % 8),
        "one image": drawn(1, 3, 2),
        "0 and 1": (sure, torch.arange(23) % 4),
        "1,000 classes": drawn(300, 1000, 3),
        "1,000 classes in float16": (drawn(300, 1000, 3)[0].half(), drawn(300, 1000, 3)[1]),
        "two classes": drawn(400, 2, 4),
    }


def rows_of(probs: Tensor, labels: Tensor) -> list[tuple[list[float], int]]:
    """As Python numbers."""
    return list(zip(probs.double().tolist(), labels.tolist(), strict=True))


def first_best(row: list[float]) -> int:
    """The class of the largest probability, the first of equal ones."""
    return row.index(max(row))
