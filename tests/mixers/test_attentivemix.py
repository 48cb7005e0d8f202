"""AttentiveMix: the strongest cells are kept, and the network is left as it was."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers import AttentiveMix


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Net(nn.Module):
    """Means over 4 x 4 pixels, then batch norm and dropout that an evaluation must not disturb."""

    def __init__(self, named: bool = True, fails: bool = False) -> None:
        super().__init__()
        self.cells = nn.AvgPool2d(4)
        self.norm = nn.BatchNorm2d(3)
        self.drop = nn.Dropout()
        self.head = nn.Linear(3, 5)
        self.fails = fails
        if named:
            self.hidden_layers = ("norm", "cells")

    def forward(self, images: Tensor) -> Any:
        if self.fails:
            raise RuntimeError("it broke")
        return self.head(self.drop(self.norm(self.cells(images))).mean((2, 3)))


def pictures(
    seed: int = 1, dtype: torch.dtype = torch.float32, shape: tuple[int, int, int, int] = (6, 3, 12, 20)
) -> Tensor:
    return torch.rand(shape, generator=generator(seed)).to(dtype)


def expected_share(images: Tensor, counts: list[int]) -> Tensor:
    """1 where the base image is kept: cells of 4 x 4 pixels, the brightest first."""
    masks = []
    for image, count in zip(images.double().numpy(), counts, strict=True):
        cells = image.mean(0).reshape(3, 4, 5, 4).mean((1, 3))
        ranks = (-cells.ravel()).argsort().argsort().reshape(3, 5)
        masks.append(np.kron(ranks < count, np.ones((4, 4))))
    return torch.from_numpy(np.stack(masks))[:, None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_strongest_cells_are_kept(dtype: torch.dtype) -> None:
    images_a, images_b = pictures(dtype=dtype), pictures(2, dtype=dtype)
    lam = torch.tensor([0.0, 0.1, 0.4, 0.55, 0.96, 1.0])
    mixed, share = AttentiveMix().mix(images_a, images_b, lam=lam, net=Net())
    counts = [0, 2, 6, 8, 14, 15]  # Of 15, rounded: 0, 1.5, 6, 8.25, 14.4, 15.
    mask = expected_share(images_a, counts)
    assert torch.equal(mixed, torch.where(mask.bool(), images_a, images_b))
    torch.testing.assert_close(share.double(), mask.mean((1, 2, 3)), rtol=0, atol=1e-6)


def test_a_fixed_number_of_cells() -> None:
    images = pictures()
    mixer = AttentiveMix(top_k=4)
    mixed, share = mixer.mix(images, 2 + pictures(2), net=Net())
    assert torch.equal(mixed < 2, expected_share(images, [4] * 6).bool().expand(-1, 3, -1, -1))
    torch.testing.assert_close(share, torch.full((6,), 4 / 15))
    assert torch.equal(mixer.mix(images, images, lam=1.0, net=Net())[1], torch.ones(6))


def test_sides_that_the_feature_map_does_not_divide() -> None:
    images = pictures(shape=(4, 3, 14, 21))
    mixed, share = AttentiveMix(layer="cells").mix(
        torch.ones_like(images), torch.zeros_like(images), lam=0.5, net=Net(named=False)
    )
    assert share.unique().numel() >= 1
    torch.testing.assert_close(mixed.mean((1, 2, 3)), share)
    assert ((share - 0.5).abs() < 0.15).all()


def state(net: Net) -> tuple[list[bool], list[bool], list[int], list[Tensor]]:
    modes = [module.training for module in net.modules()]
    asked = [parameter.requires_grad for parameter in net.parameters()]
    hooks = [len(module._forward_hooks) for module in net.modules()]
    return modes, asked, hooks, [value.clone() for value in net.state_dict().values()]


@pytest.mark.parametrize("fails", [False, True])
def test_the_network_is_left_as_it_was(fails: bool) -> None:
    net = Net(fails=fails)
    net.norm.eval()
    net.head.bias.requires_grad_(False)
    before = state(net)
    images = pictures()
    if fails:
        with pytest.raises(RuntimeError, match="it broke"):
            AttentiveMix().mix(images, images, net=net)
    else:
        mixed, _ = AttentiveMix().mix(images, images, net=net)
        assert not mixed.requires_grad
    after = state(net)
    assert before[:3] == after[:3]
    assert all(torch.equal(one, two) for one, two in zip(before[3], after[3], strict=True))
    assert all(parameter.grad is None for parameter in net.parameters())


def test_the_training_step_around_it_gets_the_same_gradients() -> None:
    """Autocast keeps weights it has cast: a pass without gradient must not leave them behind."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 5, 3), nn.Flatten(2))
    gradients = []
    for asks in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if asks:
                AttentiveMix(layer="2").mix(pictures(), pictures(2), net=net)
            loss = net(pictures()).float().square().mean()
        loss.backward()
        gradients.append([parameter.grad for parameter in net.parameters()])
    assert all(torch.equal(one, two) for one, two in zip(*gradients, strict=True))


@pytest.mark.parametrize(
    ("mixer", "net", "message"),
    [
        (AttentiveMix(), None, "needs the network"),
        (AttentiveMix(), Net(named=False), "cells, norm, drop, head"),
        (AttentiveMix(layer="cell"), Net(), "Did you mean 'cells'"),
        (AttentiveMix(layer="head"), Net(), "head"),
        (AttentiveMix(top_k=16), Net(), "only 15 cells"),
    ],
)
def test_what_does_not_fit_is_told(mixer: AttentiveMix, net: Net | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        mixer.mix(pictures(), pictures(), net=net)


def test_preparing_finds_a_layer_that_is_missing() -> None:
    AttentiveMix().prepare(Net(), (3, 12, 20))
    with pytest.raises(UserError, match="no layer 'stage'"):
        AttentiveMix(layer="stage").prepare(Net(), (3, 12, 20))


def test_whole_numbers_are_refused() -> None:
    with pytest.raises(UserError, match=r"float expected, got torch\.uint8"):
        AttentiveMix().mix(*[torch.zeros(2, 3, 12, 20, dtype=torch.uint8)] * 2, net=Net())


@pytest.mark.parametrize("options", [{"alpha": 0}, {"top_k": 0}, {"top_k": 2.5}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        AttentiveMix(**options)
