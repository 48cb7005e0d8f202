"""SimMatch against its paper's equations, written as loops."""

from typing import Any

import numpy as np
import pytest
import torch
from neighbor_scene import Array, aligned, answers, attention, cross_entropy, hard, projecting
from ssl_scene import CLASSES, LABELED, Scene

from ssl_mix.errors import UserError
from ssl_mix.queues import LabeledBank
from ssl_mix.types import Nets

OPTIONS: dict[str, Any] = {"threshold": 0.5, "width": 6}


def expected(scene: Scene, memory: dict[int, tuple[Array, int]], a: float, t: float) -> dict[str, Any]:
    """Terms and mask; the memory holds a key and a class by the position of a labeled image, and gains the
    step's."""
    student = {name: answers(scene.student, pictures) for name, pictures in scene.views.items()}
    teacher = {name: answers(scene.teacher, pictures) for name, pictures in scene.views.items()}
    memory.update(enumerate(zip(teacher["x"][1], scene.labels.tolist(), strict=True)))
    keys, classes = (list(column) for column in zip(*memory.values(), strict=True))
    p = aligned(teacher["weak"][0], scene)
    q, instance = np.zeros_like(p), []
    for row, prediction in enumerate(p):
        near = attention(teacher["weak"][1][row], np.array(keys), t)
        q[row] = a * prediction
        for share, label in zip(near, classes, strict=True):
            q[row, label] += (1 - a) * share
        unfolded = np.array([share * prediction[label] for share, label in zip(near, classes, strict=True)])
        student_near = attention(student["strong"][1][row], np.array(keys), t)
        instance.append(-(unfolded / unfolded.sum() * np.log(student_near)).sum())
    mask = q.max(axis=1) >= scene.options["threshold"]
    return {
        "loss/labeled": cross_entropy(student["x"][0], hard(scene.labels)).mean(),
        "loss/unlabeled": (mask * cross_entropy(student["strong"][0], q)).mean(),
        "loss/instance": np.mean(instance),
        "mask": mask,
    }


@pytest.mark.parametrize(
    "options", [{}, {"projectors": 3, "prediction_share": 0.6, "temperature": 0.3}], ids=str
)
def test_terms_and_mask_over_three_steps(options: dict[str, Any]) -> None:
    scene = projecting("simmatch", (5, 30), **OPTIONS, **options)
    memory: dict[int, tuple[Array, int]] = {}
    for number in range(3):
        output = scene.run(number)
        wanted = expected(
            scene, memory, options.get("prediction_share", 0.9), options.get("temperature", 0.1)
        )
        terms = {name: output.metrics[name].item() for name in wanted if name.startswith("loss/")}
        assert terms == pytest.approx({name: wanted[name] for name in terms}, rel=1e-6)
        np.testing.assert_array_equal(output.pseudo.mask, wanted["mask"])
        assert 0 < wanted["mask"].mean() < 1
        scene.algorithm.commit(output.carry)
        scene.refresh()


@pytest.mark.parametrize("name", ["simmatch", "simmatchv2"])
def test_the_memory_begins_with_all_labeled_images(name: str) -> None:
    scene = projecting(name, width=6)
    pictures = torch.randn(LABELED, 12, 2, 2, dtype=torch.float64)
    labels = torch.arange(LABELED) % CLASSES
    nets = Nets(scene.student, scene.teacher)
    scene.algorithm.begin(nets, zip(pictures.split(5), labels.split(5), strict=True))
    bank = scene.algorithm.bank
    np.testing.assert_allclose(bank.keys, answers(scene.teacher, pictures.numpy())[1], rtol=1e-6)
    assert torch.equal(bank.truth.argmax(dim=1), labels)


def test_of_a_labeled_image_that_occurs_twice_the_last_key_counts() -> None:
    bank = LabeledBank(3, 2, 1)
    keys, classes, slots = (
        torch.tensor([[1.0], [2.0], [3.0]]),
        torch.tensor([0, 1, 1]),
        torch.tensor([2, 0, 2]),
    )
    assert bank.enter({"keys": keys, "classes": classes, "slots": slots, "other": keys}) == {"other": keys}
    assert bank.keys.flatten().tolist() == [2, 0, 3]
    assert bank.truth.tolist() == [[0, 1], [0, 0], [0, 1]]


def test_the_number_of_labeled_images_is_asked_for() -> None:
    with pytest.raises(UserError, match=r"Task\(..., num_labeled=NUMBER\), got 0"):
        LabeledBank(0, 2, 1)
