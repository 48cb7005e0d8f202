"""The direction that VAT finds, against differences in float64 and against second derivatives."""

from typing import Any

import numpy as np
import pytest
import ssl_reference as reference
import torch
from numpy.typing import NDArray
from ssl_scene import PIXELS, SIZES, Scene, flat
from torch import Tensor

from ssl_mix.algorithms.vat import VAT, divergence, unit
from ssl_mix.models import SmallCNN
from ssl_mix.passes import apart


def kl_gradient(scene: Scene, direction: NDArray[Any], probe: float, step: float = 1e-5) -> NDArray[Any]:
    """Of KL(p(x) || p(x + probe d)) with respect to d, image by image, by central differences in the
    pixels."""
    pictures = flat(scene.views["weak"])
    weights = scene.student.weights
    p = reference.softmax(pictures @ weights.T)

    def divergence(d: NDArray[Any]) -> NDArray[Any]:
        return reference.kl(p, (pictures + probe * d) @ weights.T)

    gradient = np.zeros_like(pictures)
    for pixel in range(PIXELS):
        nudge = np.zeros(PIXELS)
        nudge[pixel] = step
        gradient[:, pixel] = (divergence(direction + nudge) - divergence(direction - nudge)) / (2 * step)
    return gradient


def unit_rows(rows: NDArray[Any]) -> NDArray[Any]:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("iterations", [1, 3])
def test_vat_moves_along_the_gradient_of_the_divergence(sizes: tuple[int, int], iterations: int) -> None:
    probe, radius = 0.5, 2.5
    scene = Scene("vat", sizes, probe=probe, radius=radius, power_iterations=iterations, scale=2.0)
    scene.run()
    pictures = flat(scene.views["weak"])
    moves = [flat(shown) - pictures for shown in scene.shown if len(shown) == len(pictures)]
    moves = [move for move in moves if np.abs(move).max() > 0]
    assert len(moves) == iterations + 1
    for move, following in zip(moves, moves[1:], strict=False):
        np.testing.assert_allclose(np.linalg.norm(move, axis=1), probe, rtol=1e-6)
        expected = unit_rows(kl_gradient(scene, move / probe, probe))
        np.testing.assert_allclose(unit_rows(following), expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(moves[-1], axis=1), radius, rtol=1e-6)


def test_vat_draws_its_direction_from_the_generator_and_leaves_no_gradient_behind() -> None:
    scene = Scene("vat", probe=0.5)
    first = []
    for seed in (0, 0, 1):
        scene.run(seed=seed)
        first.append(scene.shown[-1])
        assert scene.student.head.weight.grad is None
    assert (first[0] == first[1]).all() and np.abs(first[0] - first[2]).max() > 1e-3


def test_vat_directions_are_uniform_on_the_sphere() -> None:
    """Of a unit vector from a Gaussian, each squared component is 1 / D on average, and each component 0."""
    scene = Scene("vat", (1, 400), probe=0.5)
    scene.run()
    moves = [flat(s) - flat(scene.views["weak"]) for s in scene.shown if len(s) == 400]
    probe = next(unit_rows(move) for move in moves if np.abs(move).max() > 0)
    assert abs(probe.mean()) < 4 / (PIXELS * 400) ** 0.5 / PIXELS**0.5
    assert (probe**4).mean() == pytest.approx(3 / (PIXELS * (PIXELS + 2)), rel=0.05)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_worst_direction_is_that_of_the_curvature_in_single_precision() -> None:
    torch.manual_seed(0)
    net, images, start = SmallCNN(5, channels=1), noise(12, 1, 16, 16), noise(12, 1, 16, 16, seed=1)
    net.double()
    target = torch.softmax(apart(net, images.double()).detach(), dim=1)
    still = torch.zeros_like(images, dtype=torch.float64, requires_grad=True)
    cost = divergence(target, apart(net, images.double() + still))
    (slope,) = torch.autograd.grad(cost, still, create_graph=True)
    (exact,) = torch.autograd.grad((slope * unit(start.double())).sum(), still)  # Hessian times the start

    net.float()
    found = VAT()._worst_direction(net, images, target.float(), start)
    cosine = (found.double() * unit(exact)).flatten(1).sum(dim=1)
    assert cosine.min() > 0.97 and cosine.mean() > 0.99
    published = VAT(probe=1e-6)._worst_direction(net, images, target.float(), start)
    assert (published.double() * unit(exact)).flatten(1).sum(dim=1).mean() < 0.5
    assert all(parameter.grad is None for parameter in net.parameters())
