"""A scene whose student and teacher have projectors, and NumPy's idea of what both say."""

import copy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ssl_reference import softmax
from ssl_scene import CLASSES, Scene, flat

Array = NDArray[Any]


def projecting(name: str, sizes: tuple[int, int] = (5, 9), **options: Any) -> Scene:
    """A scene in float64, its teacher with a projector of its own."""
    scene = Scene(name, sizes, **options)
    scene.student.double()
    scene.teacher.projector = copy.deepcopy(scene.student.projector)
    with torch.no_grad():
        for weight in scene.teacher.projector.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return scene


def answers(net: Any, pictures: Array) -> tuple[Array, Array]:
    """Logits and embeddings of length one."""
    pixels, found = flat(pictures), []
    for first, _, second in net.projector.parts:
        hidden = np.maximum(pixels @ numbers(first.weight).T + numbers(first.bias), 0)
        found.append(hidden @ numbers(second.weight).T + numbers(second.bias))
    mean = sum(found) / len(found)
    return pixels @ net.weights.T, mean / np.sqrt((mean**2).sum(axis=1, keepdims=True))


def numbers(tensor: Any) -> Array:
    return np.asarray(tensor.detach().numpy())


def aligned(logits: Array, scene: Scene) -> Array:
    """Predictions that are uniform on average, by the state before the step."""
    p, decay = softmax(logits), min(0.999, (scene.number + 1) / (scene.number + 2))
    mean = decay * scene.state["adjust.mean_prediction"] + (1 - decay) * p.mean(axis=0)
    return np.array([row / mean / (row / mean).sum() for row in p])


def attention(query: Array, keys: Array, temperature: float) -> Array:
    """Weights of the keys for one query, a sum in a loop."""
    powers = np.array([np.exp(query @ key / temperature) for key in keys])
    return np.asarray(powers / powers.sum())


def cross_entropy(logits: Array, targets: Array) -> Array:
    """Of each row."""
    return np.array(
        [-(t * np.log(softmax(row[None])[0])).sum() for row, t in zip(logits, targets, strict=True)]
    )


def hard(labels: Array) -> Array:
    return np.asarray(np.eye(CLASSES)[labels])
