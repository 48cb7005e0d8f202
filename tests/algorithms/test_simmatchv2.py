"""The memory of SimMatchV2, and labels that spread."""

from typing import Any

import torch
from neighbor_scene import projecting
from ssl_scene import CLASSES

from ssl_mix.transfer.neighbors import spread_labels

OPTIONS: dict[str, Any] = {"threshold": 0.5, "width": 6, "memory": 20, "temperature": 0.2}


def test_the_memory_begins_with_random_directions_of_any_class() -> None:
    rows = projecting("simmatchv2", **OPTIONS).algorithm.queue.keys[0]
    torch.testing.assert_close(rows[:, :6].norm(dim=1), torch.ones(20).double())
    assert torch.equal(rows[:, 6:], torch.full((20, CLASSES), 1 / CLASSES).to(rows))


def test_labels_that_are_not_known_do_not_spread() -> None:
    draw = torch.Generator().manual_seed(0)
    keys = torch.nn.functional.normalize(torch.randn(7, 3, generator=draw), dim=1)
    truth = torch.eye(2)[torch.tensor([0, 1, 0, 1])]
    p = torch.tensor([[0.3, 0.7], [0.6, 0.4], [0.5, 0.5]])
    alone = spread_labels(p, keys[:3], keys[3:6], truth[:3], 5, 0.4, 0.1)
    found = spread_labels(p, keys[:3], keys[3:], truth * torch.tensor([[1.0], [1], [1], [0]]), 5, 0.4, 0.1)
    torch.testing.assert_close(found, alone)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(3))
    torch.testing.assert_close(spread_labels(p, keys[:3], keys[3:], truth, 5, 0.0, 0.1), p)
