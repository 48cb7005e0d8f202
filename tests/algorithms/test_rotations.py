"""CRMatch against float64 NumPy, and quarter turns against images turned by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from neighbor_scene import Array, cross_entropy, hard, numbers
from ssl_reference import softmax
from ssl_scene import Scene, flat

from ssl_mix.augment.rotations import all_turns, random_turns
from ssl_mix.errors import UserError
from ssl_mix.types import Task


def turned(pictures: Array, turns: Array) -> Array:
    return np.array([np.rot90(p, turn, (1, 2)) for p, turn in zip(pictures, turns, strict=True)])


def layer(linear: Any, rows: Array) -> Array:
    return rows @ numbers(linear.weight).T + numbers(linear.bias)


def scene_of(name: str, sizes: tuple[int, int], **options: Any) -> Scene:
    scene = Scene(name, sizes, **options)
    scene.student.double()
    return scene


def test_quarter_turns() -> None:
    corner = torch.tensor([[1.0, 0], [0, 0]])[None, None].expand(8, 1, 2, 2)  # then to the lower left, ...
    wanted = torch.tensor([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 1, 0, 0]])
    images, turns = all_turns(corner)
    assert (
        torch.equal(images.flatten(1), wanted[turns])
        and turns.tolist() == [0] * 8 + [1] * 8 + [2] * 8 + [3] * 8
    )
    images, turns = random_turns(corner, torch.Generator().manual_seed(0))
    assert torch.equal(images.flatten(1), wanted[turns]) and len(set(turns.tolist())) > 1


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_crmatch(threshold: float) -> None:
    scene = scene_of("crmatch", (5, 30), threshold=threshold)
    output = scene.run()
    logits, shown = scene.logits(), scene.shown[0]
    turns = np.array(
        [int(turn) for turn in torch.randint(4, (30,), generator=torch.Generator().manual_seed(0))]
    )
    np.testing.assert_array_equal(shown[65:], turned(scene.views["weak"], turns))
    p, algorithm = softmax(logits["weak"]), scene.algorithm
    mask = p.max(axis=1) >= threshold
    pairs = [layer(algorithm.distance_head, flat(scene.views[view])) for view in ("weak", "strong")]
    cosine = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(*pairs, strict=True)]
    first, _, second = algorithm.rotation_head.parts[0]
    guess = layer(second, np.maximum(layer(first, flat(turned(scene.views["weak"], turns))), 0))
    wanted = {
        "loss/labeled": cross_entropy(logits["x"], hard(scene.labels)).mean(),
        "loss/unlabeled": (mask * cross_entropy(logits["strong"], hard(p.argmax(axis=1)))).mean(),
        "loss/distance": (mask * np.maximum(cosine, 0)).mean(),
        "loss/rotation": cross_entropy(guess, np.eye(4)[turns]).mean(),
    }
    terms = {name: output.metrics[name].item() for name in wanted}
    assert terms == pytest.approx(wanted, rel=1e-6) and min(cosine) < 0 < max(cosine)
    assert output.loss.item() == pytest.approx(sum(wanted.values()), rel=1e-6)
    np.testing.assert_array_equal(output.pseudo.mask, mask)


@pytest.mark.parametrize("name", ["remixmatch", "crmatch", "s4l"])
def test_images_that_are_not_square_are_refused(name: str) -> None:
    scene = Scene(name)
    with pytest.raises(UserError, match=r"(Match|S4L) rotates .* must be square, got \(3, 8, 4\)"):
        scene.algorithm.extend(scene.student, Task(5, 40, (3, 8, 4)))
