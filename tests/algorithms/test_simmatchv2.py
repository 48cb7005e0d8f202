"""SimMatchV2 against its paper's equations, with the inverse of the matrix that labels spread by."""

from typing import Any

import numpy as np
import pytest
import torch
from neighbor_scene import Array, aligned, answers, attention, cross_entropy, hard, projecting
from ssl_scene import CLASSES, Scene

from ssl_mix.transfer.neighbors import spread_labels

OPTIONS: dict[str, Any] = {"threshold": 0.5, "width": 6, "memory": 20, "temperature": 0.2}


def spread(prediction: Array, key: Array, keys: Array, labels: Array, n: int, a: float, t: float) -> Array:
    """The first row of ``(1 - a) (1 - a A)^-1 Y``."""
    nearest = np.argsort([-(key @ other) for other in keys])[:n]
    nodes, known = np.vstack((key, keys[nearest])), np.vstack((prediction, labels[nearest]))
    edges = np.zeros((len(nodes), len(nodes)))
    for row, node in enumerate(nodes):
        others = [column for column in range(len(nodes)) if column != row]
        edges[row, others] = attention(node, nodes[others], t)
    return ((1 - a) * np.linalg.inv(np.eye(len(nodes)) - a * edges) @ known)[0]


def expected(
    scene: Scene, memory: dict[int, tuple[Array, int]], rows: Array, n: int, a: float
) -> dict[str, Any]:
    """Terms and mask; the memory gains the labeled images of the step."""
    t = scene.options["temperature"]
    student = {name: answers(scene.student, pictures) for name, pictures in scene.views.items()}
    teacher = {name: answers(scene.teacher, pictures) for name, pictures in scene.views.items()}
    memory.update(enumerate(zip(teacher["x"][1], scene.labels.tolist(), strict=True)))
    keys = np.array([key for key, _ in memory.values()])
    labels = hard(np.array([label for _, label in memory.values()]))
    p = aligned(teacher["weak"][0], scene)
    q = np.array([spread(*row, keys, labels, n, a, t) for row in zip(p, teacher["weak"][1], strict=True)])
    nodes, known = rows[:, :6], rows[:, 6:]
    edge, node_edge = [], []
    for row in range(len(p)):
        weak = attention(teacher["weak"][1][row], nodes, t)
        strong = attention(student["strong"][1][row], nodes, t)
        edge.append(-(weak * np.log(strong)).sum())
        node_edge.append(-(p[row] * np.log(strong @ known)).sum())
    mask = p.max(axis=1) >= scene.options["threshold"]
    return {
        "loss/labeled": cross_entropy(student["x"][0], hard(scene.labels)).mean(),
        "loss/unlabeled": (mask * cross_entropy(student["strong"][0], q)).mean(),
        "loss/edge": np.mean(edge),
        "loss/node_edge": np.mean(node_edge),
        "mask": mask,
    }


@pytest.mark.parametrize(("neighbors", "a"), [(128, 0.1), (2, 0.7)])
def test_terms_and_mask_over_three_steps(neighbors: int, a: float) -> None:
    scene = projecting("simmatchv2", (5, 30), **OPTIONS, neighbors=neighbors, spread=a)
    memory: dict[int, tuple[Array, int]] = {}
    for number in range(3):
        output = scene.run(number)
        wanted = expected(scene, memory, scene.state["queue.keys"][0], neighbors, a)
        terms = {name: output.metrics[name].item() for name in wanted if name.startswith("loss/")}
        assert terms == pytest.approx({name: wanted[name] for name in terms}, rel=1e-6)
        np.testing.assert_array_equal(output.pseudo.mask, wanted["mask"])
        assert 0 < wanted["mask"].mean() < 1
        scene.algorithm.commit(output.carry)
        scene.refresh()


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
