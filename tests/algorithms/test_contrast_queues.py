"""Keys and queues of Bi-Tuning and Self-Tuning."""

from typing import Any

import numpy as np
import pytest
import torch
import transfer_reference as reference
from numpy.typing import NDArray
from transfer_nets import CLASSES, WIDTH
from transfer_scene import EXACT, SECOND, SMALL, Scene

from ssl_mix.types import Nets


@pytest.mark.parametrize("name", SECOND)
def test_queues_begin_with_random_keys_of_length_one(name: str) -> None:
    algorithm = Scene(name, **SMALL).algorithm
    queues = {"queue": 4, **({"feature_queue": WIDTH + 1} if name == "bi-tuning" else {})}
    for queue, width in queues.items():
        keys = getattr(algorithm, queue).keys
        assert keys.shape == (CLASSES, 3, width)
        np.testing.assert_allclose((keys.double() ** 2).sum(dim=2), 1, rtol=1e-6)
        assert len({round(v, 6) for v in keys[:, :, 0].flatten().tolist()}) == CLASSES * 3
        assert not getattr(algorithm, queue).next_slot.any()


@pytest.mark.parametrize("name", SECOND)
def test_the_teacher_has_a_projector_of_its_own(name: str) -> None:
    scene = Scene(name, **SMALL)
    for net in (scene.student, scene.teacher):
        assert net.projector.weight.shape == (4, WIDTH) and net.projector.bias.shape == (4,)
    assert scene.student.projector.weight is not scene.teacher.projector.weight


def pushes(scene: Scene) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """Each queue after the step by the reference: (keys, next slots) by name."""
    after = reference.pushed(*scene.queue, scene.keys("x"), scene.labels)
    if scene.name == "self-tuning":
        return {"queue": reference.pushed(*after, scene.keys("u"), scene.guess()[0])}
    key_features = reference.with_one(reference.features(scene.v, scene.second("x")))
    slots = scene.state["feature_queue.next_slot"]
    other = reference.pushed(scene.state["feature_queue.keys"], slots, key_features, scene.labels)
    return {"queue": after, "feature_queue": other}


@pytest.mark.parametrize("name", SECOND)
@pytest.mark.parametrize("depth", [1, 3])
def test_queues_over_two_hundred_steps(name: str, depth: int) -> None:
    """Batches with more keys of a class than it has slots among them; the loss follows the queue."""
    scene = Scene(name, (6, 7), depth=depth, width=4)
    crowded = 0
    for number in range(200):
        likely = scene.draw.dirichlet(np.full(CLASSES, 0.5))
        scene.refresh(scene.draw.choice(CLASSES, 6, p=likely))
        crowded += np.bincount(scene.labels).max() > depth
        with torch.no_grad():
            output = scene.run(number, 200)
        if number % 20 == 0:
            assert output.loss.item() == pytest.approx(scene.expected(), rel=EXACT)
        assert not any(value.requires_grad for value in output.carry.values())
        scene.algorithm.commit(output.carry)
        for queue, (keys, slots) in pushes(scene).items():
            np.testing.assert_allclose(getattr(scene.algorithm, queue).keys, keys, rtol=EXACT, atol=1e-12)
            assert (getattr(scene.algorithm, queue).next_slot.numpy() == slots).all()
    assert crowded > 20
    assert (scene.queue[1] < depth).all()


def test_self_tuning_shows_the_labeled_keys_to_the_unlabeled_queries() -> None:
    """With the queue as before the step for both, the loss would be another."""
    scene = Scene("self-tuning", **SMALL)
    loss = scene.run().loss.item()
    query = reference.unit(reference.linear(scene.w, "projector", reference.features(scene.w, scene.u)))
    late = reference.pushed(*scene.queue, scene.keys("x"), scene.labels)[0]
    right, wrong = (
        reference.pgc(query, scene.keys("u"), queue, scene.guess()[0], 0.07)
        for queue in (late, scene.queue[0])
    )
    assert loss == pytest.approx(scene.expected(), rel=EXACT)
    assert loss != pytest.approx(scene.expected() - right + wrong, rel=0.001)


def test_self_tuning_ignores_the_threshold_in_its_contrast() -> None:
    losses = [Scene("self-tuning", threshold=t, **SMALL).run().loss.item() for t in (0.0, 1.0)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("name", SECOND)
def test_queues_are_full_of_keys_of_the_labeled_images_before_the_first_step(name: str) -> None:
    """A query whose own key is the only near one is pushed away from it; see the module of Self-Tuning."""
    scene = Scene(name, **SMALL)
    draws = torch.Generator().manual_seed(3)
    images = torch.randn(5, *scene.x.shape[1:], generator=draws, dtype=torch.float64)
    labels = torch.tensor([0, 1, 1, 0, 1])
    untouched = scene.algorithm.queue.keys[2:].clone()
    nets = Nets(scene.student, scene.teacher)
    scene.algorithm.begin(nets, [(images[:2], labels[:2]), (images[2:], labels[2:])])
    net = scene.teacher
    with torch.no_grad():
        keys = torch.nn.functional.normalize(net.projector(net.features(images)), dim=1)
    found = scene.algorithm.queue.keys
    torch.testing.assert_close(found[0], keys[[0, 3, 0]].to(found.dtype))
    torch.testing.assert_close(found[1], keys[[1, 2, 4]].to(found.dtype))
    assert torch.equal(found[2:], untouched)
    if name == "bi-tuning":
        features = torch.nn.functional.pad(net.features(images), (0, 1), value=1.0).detach()
        expected = torch.nn.functional.normalize(features, dim=1)[[1, 2, 4]]
        torch.testing.assert_close(scene.algorithm.feature_queue.keys[1], expected.to(found.dtype))
