"""Saliency of images, and gradient saliency in the middle of a training step."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_mix.mixers.saliency import RADII, fine_grained_saliency, gradient_saliency


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def blurred(gray: NDArray[Any]) -> NDArray[Any]:
    """Twice by (1, 2, 1) / 4 in both directions, one pixel after the other."""
    for _ in range(2):
        for axis in (0, 1):
            padded = np.pad(gray, 1, mode="edge")
            middle = padded[1:-1, 1:-1]
            shifted = [np.roll(padded, shift, axis)[1:-1, 1:-1] for shift in (-1, 1)]
            gray = middle / 2 + (shifted[0] + shifted[1]) / 4
    return gray


def plain_saliency(picture: NDArray[Any]) -> NDArray[Any]:
    """By definition, one window after the other."""
    gray = blurred(picture.mean(0))
    found = np.zeros_like(gray)
    for row, column in np.ndindex(gray.shape):
        for radius in RADII:
            top, left = max(row - radius, 0), max(column - radius, 0)
            window = gray[top : row + radius + 1, left : column + radius + 1]
            others = (window.sum() - gray[row, column]) / max(window.size - 1, 1)
            found[row, column] += abs(gray[row, column] - others)
    return found


@pytest.mark.parametrize("shape", [(2, 3, 30, 17), (1, 1, 5, 9), (1, 4, 27, 60)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.uint8])
def test_fine_grained_saliency_is_the_difference_from_the_surroundings(
    shape: tuple[int, int, int, int], dtype: torch.dtype
) -> None:
    images = (torch.rand(shape, generator=generator()) * 255).to(dtype)
    found = fine_grained_saliency(images)
    expected = np.stack([plain_saliency(picture) for picture in images.double().numpy()])
    assert (found.dtype, found.shape) == (torch.float32, (shape[0], *shape[2:]))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-3)


def scene() -> NDArray[Any]:
    """A gradient with a bright disc and a dark square of the same contrast, and a line: 96 x 128 gray
    levels."""
    rows, columns = np.mgrid[:96, :128]
    picture = 40 + rows / 2 + columns / 4
    picture[(rows - 30) ** 2 + (columns - 90) ** 2 <= 64] = 150
    picture[60:70, 20:30] = 10
    picture[80, 40:110] = 130
    return np.rint(picture).astype(np.uint8)


# StaticSaliencyFineGrained of opencv-contrib-python-headless 5.0.0 on scene(), times 255, at rows 6, 18, ..
# 90 and
# columns 8, 24, .. 120.
OPENCV = [
    [53, 45, 41, 39, 43, 38, 34, 23],
    [39, 32, 28, 25, 31, 36, 24, 10],
    [28, 21, 18, 14, 20, 249, 16, 5],
    [18, 15, 11, 6, 11, 17, 11, 6],
    [9, 10, 2, 1, 7, 11, 14, 16],
    [3, 251, 7, 9, 11, 14, 19, 24],
    [11, 16, 25, 25, 26, 29, 35, 36],
    [20, 26, 29, 31, 33, 37, 42, 51],
]


def test_fine_grained_saliency_resembles_opencvs() -> None:
    ours = fine_grained_saliency(torch.from_numpy(scene())[None, None])[0, 6::12, 8::16].numpy()
    assert np.corrcoef(ours.ravel(), np.ravel(OPENCV))[0, 1] > 0.95


def test_no_picture_sees_another_and_flat_pictures_have_none() -> None:
    images = torch.rand(3, 2, 20, 20, generator=generator())
    images[1] = 0
    together = fine_grained_saliency(images)
    assert torch.equal(together[1], torch.zeros(20, 20))
    torch.testing.assert_close(together[2:], fine_grained_saliency(images[2:]))


class Net(nn.Module):
    """Batch norm, dropout and a frozen layer: what an interruption could disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Dropout())
        self.head = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean((2, 3)))


@pytest.fixture
def net() -> Net:
    """In a mixed mode, with one frozen parameter and gradients that have been accumulated."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Net()
        net(torch.randn(4, 2, 8, 8)).sum().backward()
    net.body[1].eval()
    net.head.bias.requires_grad_(False)
    return net


def state(net: Net) -> tuple[list[bool], list[bool], list[Tensor]]:
    modes = [module.training for module in net.modules()]
    asked = [parameter.requires_grad for parameter in net.parameters()]
    tensors = [*net.state_dict().values(), *(p.grad for p in net.parameters() if p.grad is not None)]
    return modes, asked, [tensor.clone() for tensor in tensors]


def assert_unchanged(before: tuple[list[bool], list[bool], list[Tensor]], net: Net) -> None:
    after = state(net)
    assert before[:2] == after[:2]
    assert all(torch.equal(one, two) for one, two in zip(before[2], after[2], strict=True))


def pictures() -> tuple[Tensor, Tensor]:
    return torch.randn(3, 2, 8, 7, generator=generator(1)), torch.tensor([0, 4, 2])


def test_gradient_saliency_is_the_change_of_the_loss(net: Net) -> None:
    """By central differences in float64."""
    net = net.double()
    images, labels = (pictures()[0].double(), pictures()[1])
    found = gradient_saliency(net, images, labels)
    net.eval()
    step, expected = 1e-6, torch.zeros(3, 2, 8, 7, dtype=torch.float64)
    for place in np.ndindex(2, 8, 7):
        shifted = [images.clone(), images.clone()]
        at = (slice(None), *place)
        shifted[0][at] += step
        shifted[1][at] -= step
        losses = [F.cross_entropy(net(one), labels, reduction="none") for one in shifted]
        expected[at] = (losses[0] - losses[1]).detach() / (2 * step)
    expected = expected.square().mean(1).sqrt()
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-4, atol=1e-8)


def test_asking_the_network_leaves_no_trace(net: Net) -> None:
    before = state(net)
    images, labels = pictures()
    with torch.no_grad():
        saliency = gradient_saliency(net, images, labels)
    assert not saliency.requires_grad
    assert not images.requires_grad
    assert_unchanged(before, net)


def test_it_is_the_same_in_inference_mode(net: Net) -> None:
    expected = gradient_saliency(net, *pictures())
    with torch.inference_mode():
        assert torch.equal(gradient_saliency(net, *pictures()), expected)


def test_a_network_that_fails_is_left_as_it_was(net: Net) -> None:
    before = state(net)
    with pytest.raises(RuntimeError, match="channels"):
        gradient_saliency(net, torch.zeros(2, 7, 8, 8), torch.zeros(2, dtype=torch.int64))
    assert_unchanged(before, net)


def test_the_training_step_around_it_gets_the_same_gradients(net: Net) -> None:
    """Autocast keeps weights it has cast: a pass without their gradient must not leave them behind."""
    images, labels = pictures()
    gradients = []
    for asks in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.random.fork_rng():
            torch.manual_seed(3)
            if asks:
                saliency = gradient_saliency(net, images, labels)
                assert torch.isfinite(saliency).all()
            loss = F.cross_entropy(net(images).float(), labels)
        loss.backward()
        gradients.append([parameter.grad for parameter in net.parameters() if parameter.requires_grad])
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_pictures_are_fed_in_the_dtype_of_the_network(net: Net, dtype: torch.dtype) -> None:
    images, labels = pictures()
    rounded = images.to(dtype)
    expected = gradient_saliency(net, rounded.float(), labels)
    assert torch.equal(gradient_saliency(net, rounded, labels), expected)
