"""PuzzleMix: what is shown, what is moved, and the defects of other implementations."""

import multiprocessing
import subprocess
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.mixers import PuzzleMix

SHAPES = [(5, 3, 32, 32), (4, 1, 24, 40), (1, 2, 17, 29), (3, 3, 8, 8), (2, 1, 3, 1)]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def saliency(shape: Any, seed: int) -> Tensor:
    return torch.rand(shape[0], *shape[2:], generator=generator(seed)) ** 4


def mix(
    mixer: PuzzleMix,
    shape: tuple[int, int, int, int],
    lam: None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Ones with zeros."""
    ones = torch.ones(shape, dtype=dtype)
    given = {"saliency_a": saliency(shape, 5), "saliency_b": saliency(shape, 6)}
    return mixer.mix(ones, torch.zeros_like(ones), lam=lam, generator=generator(seed), **given)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "options", [{}, {"block_numbers": (5,), "patch_size": 4}, {"transport": False}], ids=str
)
def test_lam_is_the_share_of_what_is_shown(
    shape: tuple[int, int, int, int], dtype: torch.dtype, options: dict[str, Any]
) -> None:
    for seed in range(4):
        mixed, lam = mix(PuzzleMix(**options), shape, seed=seed, dtype=dtype)
        assert (mixed.dtype, mixed.shape, lam.dtype, lam.shape) == (dtype, shape, torch.float32, shape[:1])
        error = (mixed.double().mean((1, 2, 3)) - lam.double()).abs().max()
        assert error <= torch.finfo(torch.float32).eps  # Shares of 0, 1/2 and 1 are exact in every dtype.


def test_lam_is_asked_for() -> None:
    """The published code and its port draw one for the batch, whatever is given."""
    lam = torch.tensor([0.0, 0.2, 0.5, 0.8, 1.0])[:, None].expand(-1, 40).flatten()
    images = torch.zeros(200, 1, 32, 32)
    cells = torch.rand(2, 200, 4, 4, generator=generator()) ** 4
    saliency_a, saliency_b = cells.repeat_interleave(8, 2).repeat_interleave(8, 3)
    mixer = PuzzleMix(block_numbers=(4,))
    _, share = mixer.mix(images, images, lam=lam, saliency_a=saliency_a, saliency_b=saliency_b)
    means = share.view(5, 40).mean(1)
    assert (means[0], means[4]) == (0, 1)
    assert (means.diff() > 0.05).all()
    assert len(share[40:160].unique()) > 10


@pytest.mark.parametrize("transport", [True, False])
def test_lam_of_zero_or_one_is_one_of_the_pictures(transport: bool) -> None:
    shape = (4, 3, 32, 32)
    images = [torch.randn(shape, generator=generator(seed)) for seed in (1, 2)]
    given = {"saliency_a": saliency(shape, 5), "saliency_b": saliency(shape, 6)}
    for lam, expected in ((0.0, images[1]), (1.0, images[0])):
        mixed, share = PuzzleMix(transport=transport).mix(*images, lam=lam, generator=generator(), **given)
        assert torch.equal(mixed, expected)
        assert torch.equal(share, torch.full((4,), lam))


def halves() -> tuple[Tensor, Tensor]:
    """Saliency (2, 16, 16) in the left half of A and in the right half of B, and the other way round."""
    left = torch.zeros(16, 16)
    left[:, :8] = 1
    return torch.stack((left, left.flip(1))), torch.stack((left.flip(1), left))


def test_each_picture_is_shown_where_it_is_salient() -> None:
    saliency_a, saliency_b = halves()
    images = torch.zeros(2, 3, 16, 16), torch.ones(2, 3, 16, 16)
    mixed, lam = PuzzleMix(block_numbers=(4,)).mix(
        *images, lam=0.5, saliency_a=saliency_a, saliency_b=saliency_b
    )
    assert torch.equal(mixed, 1 - saliency_a[:, None].expand(-1, 3, -1, -1))
    assert torch.equal(lam, torch.full((2,), 0.5))


def test_salient_patches_move_to_where_they_are_shown() -> None:
    """A is salient in one cell, and B everywhere there and around: A's cell is shown elsewhere or not at
    all."""
    saliency_a, saliency_b = torch.zeros(2, 1, 16, 16).unbind()
    saliency_a[:, 4:8, 4:8] = 1
    saliency_a[:, 8:12, 8:12] = 0.9
    saliency_b[:, 4:8, 4:8] = 5
    images_a, images_b = torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16)
    images_a[:, :, 4:8, 4:8] = 1
    options = {"block_numbers": (4,), "labels": 2, "beta": 0.1, "distance_weight": 0.5}
    shown = [
        PuzzleMix(transport=transport, **options)
        .mix(images_a, images_b, lam=0.5, saliency_a=saliency_a, saliency_b=saliency_b)[0]
        .sum()
        for transport in (False, True)
    ]
    assert shown == [0, 16]


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e30])
def test_saliency_of_any_size_will_do(scale: float) -> None:
    """Where a gradient is zero, others divide by it."""
    shape = (6, 3, 32, 32)
    images = torch.rand(shape, generator=generator())
    given = {"saliency_a": scale * saliency(shape, 5), "saliency_b": scale * saliency(shape, 6)}
    mixed, lam = PuzzleMix().mix(images, 1 - images, generator=generator(), **given)
    assert torch.isfinite(mixed).all()
    assert torch.isfinite(lam).all()
    if scale:
        given = {name: one / scale for name, one in given.items()}
        torch.testing.assert_close(
            PuzzleMix().mix(images, 1 - images, generator=generator(), **given)[1], lam
        )


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_what_is_no_saliency_counts_as_none(bad: float) -> None:
    shape = (6, 3, 32, 32)
    images = torch.rand(shape, generator=generator())
    results = []
    for value in (bad, 0.0):
        given = {"saliency_a": saliency(shape, 5), "saliency_b": saliency(shape, 6)}
        for one in given.values():
            one[:, 3:9, 4] = value
        results.append(PuzzleMix().mix(images, 1 - images, generator=generator(), **given)[0])
    assert torch.equal(*results)


class Net(nn.Module):
    """Batch norm and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Dropout())
        self.head = nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).mean((2, 3)))


@pytest.fixture
def net() -> Net:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Net()


def batch() -> tuple[Tensor, Tensor]:
    return torch.randn(6, 3, 32, 32, generator=generator(1)), torch.arange(6) % 5


def test_gradients_that_were_accumulated_stay(net: Net) -> None:
    """Asking for saliency must neither add to them nor wipe them, and the running statistics are none of its
    business."""
    images, labels = batch()
    F.cross_entropy(net(images), labels).backward()
    before = [parameter.grad.clone() for parameter in net.parameters()]
    buffers = [value.clone() for value in net.state_dict().values()]
    mixed, target = PuzzleMix()(images, labels, net=net, generator=generator())
    assert not mixed.requires_grad
    assert all(torch.equal(one.grad, two) for one, two in zip(net.parameters(), before, strict=True))
    assert all(torch.equal(one, two) for one, two in zip(net.state_dict().values(), buffers, strict=True))
    assert all(module.training for module in net.modules())
    assert len(target.lam.unique()) > 1


def test_a_network_that_is_sure_of_everything(net: Net) -> None:
    """Its gradient is zero."""
    net.head.weight.data.zero_()
    mixed, target = PuzzleMix()(*batch(), net=net, generator=generator())
    assert torch.isfinite(mixed).all()
    assert torch.isfinite(target.lam).all()


def test_saliency_of_the_network_is_that_of_the_pictures_and_their_partners(net: Net) -> None:
    images, labels = batch()
    mixer = PuzzleMix()
    whole = mixer.mix_batch(images, labels, net=net, generator=generator())
    maps = mixer.saliency(images, labels, net)
    stream = generator()
    partner = torch.randperm(6, generator=stream)
    given = {"saliency_a": maps, "saliency_b": maps[partner]}
    mixed, lam = mixer.mix(images, images[partner], generator=stream, **given)
    assert torch.equal(whole.images, mixed)
    assert torch.equal(whole.target.lam, lam)


def test_no_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(multiprocessing.Process, "start", refuse)
    mix(PuzzleMix(), (4, 3, 32, 32))


def test_values_on_the_device_are_never_looked_at() -> None:
    images, given = torch.empty(4, 3, 20, 30, device="meta"), torch.empty(4, 20, 30, device="meta")
    for options in ({}, {"patch_size": 3}, {"labels": 2, "transport": False}):
        mixed, lam = PuzzleMix(**options).mix(
            images, images, generator=generator(), saliency_a=given, saliency_b=given
        )
        assert (mixed.device.type, lam.device.type, mixed.shape) == ("meta", "meta", images.shape)


@pytest.mark.filterwarnings("default")
def test_one_number_of_blocks_makes_one_graph() -> None:
    images = torch.rand(3, 3, 16, 16, generator=generator())
    given = {"saliency_a": saliency(images.shape, 5), "saliency_b": saliency(images.shape, 6)}
    mixer = PuzzleMix(block_numbers=(2,))
    compiled = torch.compile(mixer.mix, fullgraph=True, backend="aot_eager")
    found, expected = (one(images, 1 - images, lam=0.6, **given) for one in (compiled, mixer.mix))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("sides", "fitting"), [((8, 40), {2, 4, 8}), ((32, 32), {2, 4, 8, 16}), ((1, 9), {1})]
)
def test_block_numbers_are_drawn_from_those_that_fit(sides: tuple[int, int], fitting: set[int]) -> None:
    stream = generator()
    images = torch.zeros(1, 1, *sides)
    drawn = [PuzzleMix()._draw_blocks(images, stream) for _ in range(200)]
    assert set(drawn) == fitting
    assert all(drawn.count(number) > 100 / len(fitting) for number in fitting)


def test_gradients_reach_the_pictures() -> None:
    images = torch.rand(4, 3, 16, 16, generator=generator()).requires_grad_()
    given = {"saliency_a": saliency(images.shape, 5), "saliency_b": saliency(images.shape, 6)}
    mixed, lam = PuzzleMix(transport=False).mix(images, images.detach() + 1, generator=generator(), **given)
    mixed.sum().backward()
    torch.testing.assert_close(images.grad.mean((1, 2, 3)), lam)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0}, "alpha"),
        ({"block_numbers": ()}, "block_numbers"),
        ({"block_numbers": (4, 0)}, "block_numbers"),
        ({"block_numbers": 4}, "block_numbers"),
        ({"labels": 1}, "labels"),
        ({"gamma": 1.5}, "gamma"),
        ({"beta": -1}, "beta"),
        ({"eta": -1}, "eta"),
        ({"distance_weight": -1}, "distance_weight"),
        ({"patch_size": 0}, "patch_size"),
        ({"pixel_std": 0}, "pixel_std"),
    ],
)
def test_bad_options(options: dict[str, int], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PuzzleMix(**options)


def test_what_is_missing_is_told(net: Net) -> None:
    images, labels = batch()
    with pytest.raises(UserError, match="saliency_a= and saliency_b="):
        PuzzleMix().mix(images, images, saliency_a=images[:, 0])
    with pytest.raises(UserError, match="needs the network"):
        PuzzleMix()(images, labels)
    with pytest.raises(UserError, match=r"torch\.uint8"):
        PuzzleMix()(images.byte(), labels, net=net)
