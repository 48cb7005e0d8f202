"""Group contrast against a loop over samples, and the class queue against one push after the other."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import group_contrast
from ssl_mix.queues import ClassQueue


def scene(count: int, classes: int = 5, depth: int = 4, width: int = 8, seed: int = 0) -> tuple[Tensor, ...]:
    draw = torch.Generator().manual_seed(seed)
    unit = [
        F.normalize(torch.randn(*shape, width, generator=draw, dtype=torch.float64), dim=-1)
        for shape in ((count,), (count,), (classes, depth))
    ]
    return *unit, torch.randint(classes, (count,), generator=draw)


def by_loop(query: Tensor, key: Tensor, queue: Tensor, labels: Tensor, temperature: float) -> NDArray[Any]:
    """KL divergence of an even target over the positive logits, sample by sample, positives first."""
    values = []
    for q, k, label in zip(query.numpy(), key.numpy(), labels.tolist(), strict=True):
        others = [queue[c].numpy() for c in range(len(queue)) if c != label]
        logits = np.concatenate([[q @ k], queue[label].numpy() @ q, np.concatenate(others) @ q]) / temperature
        target = np.zeros(len(logits))
        target[: queue.shape[1] + 1] = 1 / (queue.shape[1] + 1)
        log_p = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
        values.append(sum(t * (np.log(t) - lp) for t, lp in zip(target, log_p, strict=True) if t > 0))
    return np.array(values)


@pytest.mark.parametrize("count", [1, 3, 24])
@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_equals_the_loop(count: int, temperature: float) -> None:
    inputs = scene(count)
    expected = by_loop(*inputs, temperature)
    found = group_contrast(*inputs, temperature=temperature, reduction="none")
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-10)
    for reduction, value in (("mean", expected.mean()), ("sum", expected.sum())):
        found = group_contrast(*inputs, temperature=temperature, reduction=reduction)
        np.testing.assert_allclose(found.item(), value, rtol=1e-10)


def test_gradient_reaches_the_query_alone_and_is_right() -> None:
    query, key, queue, labels = scene(4)
    query.requires_grad_()
    assert torch.autograd.gradcheck(lambda q: group_contrast(q, key, queue, labels), query)


def test_half_precision_is_computed_in_single() -> None:
    query, key, queue, labels = (x.float() if x.is_floating_point() else x for x in scene(6))
    with torch.autocast("cpu", torch.bfloat16):
        found = group_contrast(query, key, queue, labels)
    torch.testing.assert_close(found, group_contrast(query, key, queue, labels))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda q, k, u, y: (q, k[:2], u, y), "query and key"),
        (lambda q, k, u, y: (q, k, u[0], y), "queue"),
        (lambda q, k, u, y: (q, k, u[:, :, :3], y), "queue"),
        (lambda q, k, u, y: (q, k, u, y.float()), "labels"),
    ],
)
def test_wrong_shapes(change: Callable[..., Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        group_contrast(*change(*scene(4)))


def test_wrong_temperature() -> None:
    with pytest.raises(UserError, match="temperature"):
        group_contrast(*scene(4), temperature=0.0)


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_a_batch_is_pushed_as_its_keys_one_by_one(depth: int) -> None:
    draw = torch.Generator().manual_seed(1)
    together = ClassQueue(4, depth, 5, torch.Generator().manual_seed(0))
    apart = ClassQueue(4, depth, 5, torch.Generator().manual_seed(0))
    slots, start = [[list(key) for key in ring] for ring in together.keys.tolist()], [0] * 4
    for _ in range(30):
        count = int(torch.randint(1, 20, (), generator=draw))
        keys, labels = torch.randn(count, 5, generator=draw), torch.randint(4, (count,), generator=draw)
        together.push(keys, labels)
        for key, label in zip(keys, labels, strict=True):
            apart.push(key[None], label[None])
            slots[label][start[label]] = key.tolist()
            start[label] = (start[label] + 1) % depth
    assert torch.equal(together.keys, apart.keys) and torch.equal(together.next_slot, apart.next_slot)
    assert together.keys.tolist() == slots and together.next_slot.tolist() == start


def test_a_queue_begins_with_unit_vectors() -> None:
    keys = ClassQueue(3, 4, 6).keys
    torch.testing.assert_close(keys.norm(dim=2), torch.ones(3, 4))
