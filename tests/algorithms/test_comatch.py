"""CoMatch against its paper's equations, written as loops."""

from typing import Any

import numpy as np
import pytest
import torch
from neighbor_scene import Array, aligned, answers, attention, cross_entropy, hard, projecting
from ssl_scene import Scene

OPTIONS: dict[str, Any] = {"threshold": 0.5, "memory": 20, "width": 6}


def expected(
    scene: Scene, memory: list[tuple[Array, Array]], a: float = 0.9, t: float = 0.2
) -> dict[str, Any]:
    """Terms, mask and what the memory gains; the memory is a list of embeddings and distributions."""
    found = {name: answers(scene.student, pictures) for name, pictures in scene.views.items()}
    p = aligned(found["weak"][0], scene)
    q = p.copy()
    for row, embedding in enumerate(found["weak"][1]) if memory else ():
        near = attention(embedding, np.array([key for key, _ in memory]), t)
        q[row] = a * p[row] + (1 - a) * sum(w * old for w, (_, old) in zip(near, memory, strict=True))
    mask = q.max(axis=1) >= scene.options["threshold"]
    graph = np.zeros((len(q), len(q)))
    for i in range(len(q)):
        for j in range(len(q)):
            likeness = 1 if i == j else q[i] @ q[j]
            graph[i, j] = likeness if likeness >= scene.options.get("graph_threshold", 0.8) else 0
        graph[i] /= graph[i].sum()
    near = np.array([attention(z, found["strong2"][1], t) for z in found["strong"][1]])
    truth = hard(scene.labels)
    return {
        "loss/labeled": cross_entropy(found["x"][0], truth).mean(),
        "loss/unlabeled": (mask * cross_entropy(found["strong"][0], q)).mean(),
        "loss/contrast": -(graph * np.log(near)).sum(axis=1).mean(),
        "mask": mask,
        "gained": [*zip(found["x"][1], truth, strict=True), *zip(found["weak"][1], p, strict=True)],
    }


@pytest.mark.parametrize("options", [{}, {"projectors": 3, "graph_threshold": 0.4}], ids=str)
def test_terms_mask_and_memory_over_three_steps(options: dict[str, Any]) -> None:
    scene = projecting("comatch", **OPTIONS, **options)
    memory: list[tuple[Array, Array]] = []
    kept: list[bool] = []
    for number in range(3):
        output = scene.run(number)
        wanted = expected(scene, memory)
        terms = {name: output.metrics[name].item() for name in wanted if name.startswith("loss/")}
        assert terms == pytest.approx({name: wanted[name] for name in terms}, rel=1e-6)
        assert output.loss.item() == pytest.approx(sum(terms.values()), rel=1e-6)
        np.testing.assert_array_equal(output.pseudo.mask, wanted["mask"])
        scene.algorithm.commit(output.carry)
        memory, kept = [*memory, *wanted["gained"]][-20:], [*kept, *wanted["mask"]]
        scene.refresh()
    held = scene.algorithm.queue.keys[0].numpy()
    assert sorted(map(tuple, held.round(6))) == sorted(tuple(np.concatenate(row).round(6)) for row in memory)
    assert 0 < np.mean(kept) < 1


def test_what_is_not_in_the_memory_yet_does_not_count() -> None:
    """A slot of zeros would be as near as a key at a right angle, and make every pseudo-label less sure."""
    scene = projecting("comatch", **(OPTIONS | {"memory": 500, "prediction_share": 0.0}))
    scene.algorithm.commit(scene.run().carry)
    scene.refresh()
    with torch.no_grad():
        target = scene.algorithm._smoothed(torch.full((9, 5), 0.2).double(), torch.ones(9, 6).double())
    torch.testing.assert_close(target.sum(dim=1), torch.ones(9).double())
