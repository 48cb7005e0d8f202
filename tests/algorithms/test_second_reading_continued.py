"""ReFixMatch, SequenceMatch, SimMatchV2, EPASS, S4L, Meta Pseudo Labels, Noisy Student and V-PET, whole
batches in float64 NumPy, from the papers and the authors' codes, by a reader who had not seen how they are
written here."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from match_scene import Scene
from neighbor_scene import projecting
from second_reading import Floats, assert_found, cost, divergence, layers, slope, softmax, total, values
from ssl_scene import CLASSES, LABELED, SHAPE, UNLABELED, Recorder
from ssl_scene import Scene as Pictures

from ssl_mix.algorithms import NoisyStudent, VPet
from ssl_mix.types import Batch, Nets, Samples, Step, Task

Terms = dict[str, tuple[float, Any]]


def assert_learned(scene: Scene, terms: Callable[[Any], Terms]) -> None:
    """The terms by the classifier's weights, and the gradient of their sum."""
    assert_found(scene.output, terms(scene.weights))
    expected = slope(lambda own: total(terms(own)), scene.weights)
    np.testing.assert_allclose(scene.student.head.weight.grad, expected, rtol=1e-6, atol=1e-9)


def test_refixmatch() -> None:
    options = {"threshold": 0.6, "temperature": 0.4, "unlabeled_weight": 0.7, "unconfident_weight": 0.3}
    scene = Scene("refixmatch", unlabeled=9, **options)
    scene.run()
    x, weak, strong = scene.features("x weak", "u weak", "u strong")
    z = weak @ scene.weights.T
    mask, soft = softmax(z).max(axis=1) >= 0.6, softmax(z / 0.4)

    def terms(own: Any) -> Terms:
        live = strong @ own.T
        return {
            "labeled": (1.0, cost(x @ own.T, scene.labels).mean()),
            "unlabeled": (0.7, (mask * cost(live, z.argmax(axis=1))).mean()),
            "unconfident": (0.3, (~mask * divergence(soft, live)).mean()),
        }

    assert_learned(scene, terms)
    np.testing.assert_array_equal(scene.output.pseudo.mask, mask)
    assert 0 < mask.sum() < 9


def test_sequencematch() -> None:
    scene = Scene("sequencematch", unlabeled=9, threshold=0.7, temperature=0.4, sequence_weight=0.3)
    scene.run()
    x, weak, medium, strong = scene.features("x weak", "u weak", "u medium", "u strong")
    z, between = weak @ scene.weights.T, medium @ scene.weights.T
    sure, middle = (softmax(part).max(axis=1) >= 0.7 for part in (z, between))
    assert (sure != middle).any() and sure.any() and not sure.all()

    def terms(own: Any) -> Terms:
        of_medium, of_strong = medium @ own.T, strong @ own.T
        pairs = [(sure, z, of_medium), (middle, between, of_strong), (sure, z, of_strong)]
        return {
            "labeled": (1.0, cost(x @ own.T, scene.labels).mean()),
            "unlabeled": (1.0, (sure * cost(of_strong, z.argmax(axis=1))).mean()),
            "sequence": (0.3, sum((m * divergence(softmax(t / 0.4), live)).mean() for m, t, live in pairs)),
            "unconfident": (1.0, (~sure * divergence(softmax(z / 0.4), of_strong)).mean()),
        }

    assert_learned(scene, terms)


def pixels(pictures: Floats) -> Floats:
    return np.asarray(pictures.reshape(len(pictures), -1))


def unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def seen(net: Any, pictures: Floats) -> tuple[Floats, Floats]:
    """Logits, and the embedding that is the mean of the projectors' answers, made to have length 1."""
    x = pixels(pictures)
    return x @ net.weights.T, unit(np.mean([layers(part, x) for part in net.projector.parts], axis=0))


def spread(p: Floats, keys: Floats, truth: Floats, share: float, temperature: float) -> Floats:
    """Labels of the image after they have walked along the edges ever further: ``(1 - a) sum (a A)^n Y``."""
    edges = keys @ keys.T / temperature
    np.fill_diagonal(edges, -np.inf)
    edges, labels = softmax(edges), np.vstack((p, truth))
    found, walked = np.zeros_like(labels), labels
    for number in range(400):
        found = found + (1 - share) * share**number * walked
        walked = edges @ walked
    return np.asarray(found[0])


@pytest.mark.parametrize(("neighbors", "share"), [(128, 0.1), (2, 0.7)])
def test_simmatchv2(neighbors: int, share: float) -> None:
    options = {"threshold": 0.5, "width": 6, "memory": 20, "temperature": 0.2}
    scene = projecting("simmatchv2", (5, 12), neighbors=neighbors, spread=share, **options)
    mean, mask, known = np.full(CLASSES, 1 / CLASSES), [], (np.zeros((5, 6)), np.eye(CLASSES))
    for number in range(3):
        memory = scene.algorithm.queue.keys[0].numpy().copy()
        output = scene.run(number)
        of_x, z_strong = (seen(scene.student, scene.views[view]) for view in ("x", "strong"))
        known = (seen(scene.teacher, scene.views["x"])[1], np.eye(CLASSES)[scene.labels])
        logits, key = seen(scene.teacher, scene.views["weak"])
        p, keep = softmax(logits), (number + 1) / (number + 2)
        mean = keep * mean + (1 - keep) * p.mean(axis=0)
        p = p / mean / (p / mean).sum(axis=1, keepdims=True)
        nearest = np.argsort(-key @ known[0].T, axis=1)[:, :neighbors]
        q = np.array(
            [
                spread(p[n], np.vstack((key[n], known[0][near])), known[1][near], share, 0.2)
                for n, near in enumerate(nearest)
            ]
        )
        edge, live = softmax(key @ memory[:, :6].T / 0.2), z_strong[1] @ memory[:, :6].T / 0.2
        mask.append(p.max(axis=1) >= 0.5)
        terms: Terms = {
            "labeled": (1.0, cost(of_x[0], scene.labels).mean()),
            "unlabeled": (1.0, (mask[-1] * cost(z_strong[0], q)).mean()),
            "edge": (1.0, cost(live, edge).mean()),
            "node_edge": (1.0, -(p * np.log(softmax(live) @ memory[:, 6:])).sum(axis=1).mean()),
        }
        assert_found(output, terms)
        scene.algorithm.commit(output.carry)
        gained = np.hstack((key, p))
        assert np.abs(gained[:, None] - scene.algorithm.queue.keys[0].numpy()).max(axis=2).min() < 1e-6
        scene.refresh()
    assert 0 < np.mean(mask) < 1


def test_epass_in_comatch() -> None:
    """The contrast of two views in the first step, when the memory is empty."""
    scene = projecting("comatch", (5, 12), projectors=3, width=6, graph_threshold=0.4)
    output = scene.run(0)
    p = softmax(seen(scene.student, scene.views["weak"])[0])
    mean = 0.5 * (1 / CLASSES + p.mean(axis=0))
    q = p / mean / (p / mean).sum(axis=1, keepdims=True)
    graph = q @ q.T
    np.fill_diagonal(graph, 1)
    graph = np.where(graph >= 0.4, graph, 0)
    first, second = (seen(scene.student, scene.views[view])[1] for view in ("strong", "strong2"))
    contrast = cost(first @ second.T / 0.2, graph / graph.sum(axis=1, keepdims=True)).mean()
    assert output.metrics["loss/contrast"].item() == pytest.approx(contrast, rel=1e-6)
    assert len(scene.student.projector.parts) == 3


def test_epass_in_simmatch() -> None:
    """The likeness to labeled images, unfolded by what the teacher takes the image for."""
    scene = projecting("simmatch", (5, 12), projectors=3, width=6)
    output = scene.run(0)
    keys = seen(scene.teacher, scene.views["x"])[1]
    logits, key = seen(scene.teacher, scene.views["weak"])
    p = softmax(logits)
    mean = 0.5 * (1 / CLASSES + p.mean(axis=0))
    p = p / mean / (p / mean).sum(axis=1, keepdims=True)
    likeness = softmax(key @ keys.T / 0.1) * p[:, scene.labels]
    live = seen(scene.student, scene.views["strong"])[1] @ keys.T / 0.1
    instance = cost(live, likeness / likeness.sum(axis=1, keepdims=True)).mean()
    assert output.metrics["loss/instance"].item() == pytest.approx(instance, rel=1e-6)


def turns(pictures: Floats) -> Floats:
    """Four times as many: rows become columns from below, again and again."""
    found = [pictures]
    for _ in range(3):
        found.append(found[-1].swapaxes(2, 3)[:, :, ::-1])
    return np.concatenate(found)


def test_s4l() -> None:
    scene = Pictures("s4l", (3, 7), rotation_weight=0.4)
    output = scene.run()
    head, bias = values(scene.algorithm.rotation_head)
    own = scene.student.weights
    x, u = (pixels(turns(scene.views[view])) for view in ("x", "weak"))
    rotation = [cost(rows @ head.T + bias, np.arange(4).repeat(len(rows) // 4)).mean() for rows in (x, u)]
    terms: Terms = {
        "labeled": (1.0, cost(x @ own.T, np.tile(scene.labels, 4)).mean()),
        "rotation": (0.4, np.mean(rotation)),
    }
    assert_found(output, terms)
    output.loss.backward()
    expected = slope(lambda w: cost(x @ w.T, np.tile(scene.labels, 4)).mean(), own)
    np.testing.assert_allclose(scene.student.head.weight.grad, expected, rtol=1e-6, atol=1e-9)


def test_meta_pseudo_labels() -> None:
    """Values, what the student learns, and what the tutor does, whose feedback is a number."""
    options = {
        "threshold": 0.5,
        "unlabeled_weight": 2.0,
        "ramp": 0.9,
        "lookahead": 0.7,
        "feedback_weight": 3.0,
    }
    scene = Pictures("meta-pseudo-labels", (5, 30), **options)
    with torch.no_grad():
        scene.algorithm.tutor.head.weight += 0.3 * torch.randn_like(scene.student.head.weight)
    output = scene.run(number=30)
    output.loss.backward()
    x, weak, strong = (pixels(scene.views[view]) for view in ("x", "weak", "strong"))
    student, tutor = scene.student.weights, values(scene.algorithm.tutor.head)[0]
    z = weak @ tutor.T
    label, mask, soft = z.argmax(axis=1), softmax(z).max(axis=1) >= 0.5, softmax(z / 0.7)

    def learned(own: Any) -> Any:
        return cost(strong @ own.T, label).mean()

    ahead = student - 0.7 * slope(learned, student)
    feedback = cost(x @ student.T, scene.labels).mean() - cost(x @ ahead.T, scene.labels).mean()

    def taught(own: Any) -> Terms:
        return {
            "labeled": (1.0, cost(x @ own.T, scene.labels).mean()),
            "unlabeled": (2.0 * 0.3 / 0.9, (mask * cost(strong @ own.T, soft)).mean()),
            "feedback": (3.0, feedback * learned(own)),
        }

    assert_found(output, {**taught(tutor), "student": (1.0, learned(student))})
    of_tutor = scene.algorithm.tutor.head.weight.grad
    np.testing.assert_allclose(of_tutor, slope(lambda w: total(taught(w)), tutor), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(scene.student.head.weight.grad, slope(learned, student), rtol=1e-6, atol=1e-9)
    assert 0 < mask.mean() < 1 and abs(feedback) > 1e-3


def batch_of(draw: np.random.Generator, views: dict[str, tuple[str, ...]]) -> tuple[dict[str, Any], Any]:
    """Five labeled and nine unlabeled images and their batch."""
    shown = {
        f"{half} {view}": draw.standard_normal((5 if half == "x" else 9, *SHAPE))
        for half, names in views.items()
        for view in names
    }
    tensors: dict[str, dict[str, torch.Tensor]] = {"x": {}, "u": {}}
    for name, pictures in shown.items():
        half, view = name.split()
        tensors[half][view] = torch.from_numpy(pictures)
    labels, places = draw.integers(CLASSES, size=5), draw.permutation(UNLABELED)[:9]
    batch = Batch(
        Samples(tensors["x"], torch.arange(5), torch.from_numpy(labels)),
        Samples(tensors["u"], torch.from_numpy(places)),
    )
    return {name: pixels(p) for name, p in shown.items()} | {"labels": labels, "places": places}, batch


def test_noisy_student() -> None:
    draw = np.random.default_rng(0)
    algorithm, student = NoisyStudent(threshold=0.7, unlabeled_weight=0.5), Recorder(draw, 3.0)
    algorithm.extend(student, Task(CLASSES, UNLABELED, SHAPE, LABELED))
    first = student.weights.copy()
    with torch.no_grad():
        student.head.weight.mul_(0.5).add_(0.1)
    shown, batch = batch_of(draw, {"x": ("strong",), "u": ("plain", "strong")})
    output = algorithm(Nets(student, student), batch, Step(1, 2))
    q = softmax(shown["u plain"] @ first.T)
    mask = q.max(axis=1) >= 0.7
    own = student.weights
    terms: Terms = {
        "labeled": (1.0, cost(shown["x strong"] @ own.T, shown["labels"]).mean()),
        "unlabeled": (0.5, (mask * cost(shown["u strong"] @ own.T, q)).mean()),
    }
    assert_found(output, terms)
    assert 0 < mask.mean() < 1
    output.loss.backward()
    assert all(weight.grad is None for weight in algorithm.first.parameters())


def test_v_pet() -> None:
    """One-hot answers of the teachers, averaged over those that there are, are what both views learn."""
    draw = np.random.default_rng(1)
    algorithm, net = VPet(teachers=("a", "b", "c"), unlabeled_weight=0.5), Recorder(draw, 2.0)
    algorithm.extend(net, Task(CLASSES, UNLABELED, SHAPE, LABELED))
    votes = draw.integers(-1, CLASSES, size=(UNLABELED, 3))
    votes[draw.permutation(UNLABELED)[:10]] = -1
    algorithm.cast(torch.from_numpy(votes))
    shown, batch = batch_of(draw, {"x": ("weak",), "u": ("weak", "strong")})
    output = algorithm(Nets(net, net), batch, Step(1, 2))
    given = votes[shown["places"]]
    mean = (np.eye(CLASSES)[given] * (given >= 0)[..., None]).sum(axis=1)
    mean /= np.maximum(1, (given >= 0).sum(axis=1, keepdims=True))
    own = net.weights
    both = [cost(shown[view] @ own.T, mean).mean() for view in ("u weak", "u strong")]
    labeled = cost(shown["x weak"] @ own.T, shown["labels"]).mean()
    assert_found(output, {"labeled": (1.0, labeled), "unlabeled": (0.5, np.mean(both))})
    assert output.pseudo is not None
    np.testing.assert_array_equal(output.pseudo.mask, (given >= 0).any(axis=1))
    assert 0 < output.pseudo.mask.mean() < 1
