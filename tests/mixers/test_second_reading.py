"""Mixers that papers compare with once more, in float64 NumPy, from the papers and the authors' codes, by a
reader who had not seen how they are written here. What is drawn is read back from the mixed images."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from mixer_scene import Net, generator, net_for
from second_reading import Floats, softmax, values
from torch import Tensor, nn

from ssl_mix.mixers import (
    AlignMix,
    HardPatchUp,
    MixingSchedule,
    Mixup,
    MoEx,
    Pair,
    RecursiveMix,
    SnapMix,
    SoftPatchUp,
    StyleCutMix,
    StyleMix,
    TokenMix,
    TokenMixup,
)
from ssl_mix.mixers.activation import activation_maps
from ssl_mix.mixers.alignmix import sinkhorn_plan
from ssl_mix.mixers.joint_sources import Sources, joint_cost
from ssl_mix.mixers.patchup import block_mask
from ssl_mix.mixers.tokenmix import block_cells
from ssl_mix.types import Step


def pictures(*shape: int, seed: int = 1) -> Tensor:
    return torch.rand(shape, generator=generator(seed))


def number(tensor: Tensor) -> Floats:
    return np.asarray(tensor.detach().double().numpy())


def through(
    mixer: Any, a: Tensor, b: Tensor, seed: int = 0, lam: float | None = None
) -> tuple[Floats, Floats]:
    """Maps of a network that returns what it is given, and lam."""
    net = nn.Sequential(nn.Identity())
    maps, shares = mixer.mix(a, b, net=net, lam=lam, generator=generator(seed))
    return number(maps), number(shares)


def test_moex() -> None:
    a, b = pictures(5, 6, 3, 4), pictures(5, 6, 3, 4, seed=2) * 3
    found, lam = through(MoEx(weight=0.7, layers=("0",)), a, b)
    (own, own_spread), (other, spread) = (
        (number(x).mean(1, keepdims=True), np.sqrt(number(x).var(1, ddof=1, keepdims=True) + 1e-5))
        for x in (a, b)
    )
    np.testing.assert_allclose(found, (number(a) - own) / own_spread * spread + other, atol=1e-5)
    np.testing.assert_allclose(lam, 0.7, rtol=1e-6)


def test_patchup_draws_blocks() -> None:
    """A place is in a block where a center lies within half a block of it."""
    shape, gamma, size = torch.Size((3, 4, 9, 11)), 0.4, 3
    draws = torch.rand(shape, generator=generator(3))
    centers = number(draws) < gamma * 9 * 11 / (size**2 * (9 - size + 1) * (11 - size + 1))
    padded = np.pad(centers, ((0, 0), (0, 0), (1, 1), (1, 1)))
    shifted = [padded[:, :, i : i + 9, j : j + 11] for i in range(3) for j in range(3)]
    np.testing.assert_array_equal(block_mask(shape, gamma, size, draws), np.any(shifted, axis=0))


@pytest.mark.parametrize("mixer", [HardPatchUp(0.5, 3, ("0",)), SoftPatchUp(0.5, 3, ("0",))])
def test_patchup(mixer: HardPatchUp) -> None:
    """In the blocks the partner, or a blend by one share; the label by what is left of the image."""
    a, b = pictures(6, 4, 8, 9), pictures(6, 4, 8, 9, seed=2) + 2
    found, lam = through(mixer, a, b)
    for one, x, y, weight in zip(found, number(a), number(b), lam, strict=True):
        changed = np.abs(one - x) > 1e-6
        share = ((one - y) / (x - y))[changed]
        assert 0 < changed.mean() < 1 and np.ptp(share) < 1e-5
        assert (share.mean() < 1e-5) == (type(mixer) is HardPatchUp)
        assert weight == pytest.approx(1 - changed.mean() * (1 - share.mean()), abs=1e-6)


def logsumexp(z: Floats, axis: int) -> Floats:
    top = z.max(axis=axis, keepdims=True)
    return np.asarray(np.log(np.exp(z - top).sum(axis=axis)) + top.squeeze(axis))


def transport(a: Floats, b: Floats, epsilon: float, rounds: int) -> Floats:
    """Sinkhorn's plan of columns of (D, P) in logarithms, rows first, as often as asked, times P."""
    places = a.shape[1]
    cost = ((a[:, :, None] - b[:, None]) ** 2).sum(0)
    u, v = np.zeros(places), np.zeros(places)
    for _ in range(rounds):
        u = epsilon * (-math.log(places) - logsumexp((v[None] - cost) / epsilon, 1))
        v = epsilon * (-math.log(places) - logsumexp((u[:, None] - cost) / epsilon, 0))
    return np.asarray(places * np.exp((u[:, None] + v[None] - cost) / epsilon))


def test_alignmix() -> None:
    """One's features laid out as the other's, by a coin."""
    a, b = (pictures(4, 5, 3, 2, seed=seed) / 2 for seed in (1, 2))
    plans = [
        transport(number(x).reshape(5, 6), number(y).reshape(5, 6), 0.1, 20)
        for x, y in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(sinkhorn_plan(a.flatten(2), b.flatten(2), 0.1, 20), plans, rtol=1e-4)
    coins = set()
    for seed in range(6):
        found, lam = through(AlignMix(layers=("0",)), a, b, seed)
        for one, x, y, plan, share in zip(found, number(a), number(b), plans, lam, strict=True):
            (x, y), one = (part.reshape(5, 6) for part in (x, y)), one.reshape(5, 6)
            ways = share * x + (1 - share) * y @ plan.T, share * x @ plan + (1 - share) * y
            like = [bool(np.allclose(one, way, atol=1e-5)) for way in ways]
            assert sum(like) == 1
            coins.add(like[0])
    assert coins == {True, False}


def enlarged(small: Floats, size: int) -> Floats:
    """Bilinear, pixels as areas."""
    sides = []
    for length in small.shape:
        place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        low = np.minimum(np.floor(place).astype(int), length - 1)
        side = np.zeros((size, length))
        side[np.arange(size), low] += 1 - (place - low)
        side[np.arange(size), np.minimum(low + 1, length - 1)] += place - low
        sides.append(side)
    return np.asarray(sides[0] @ small @ sides[1].T)


def test_maps_of_snapmix_and_tokenmix() -> None:
    net, images, labels = Net(3), pictures(3, 3, 16, 16), torch.tensor([0, 64, 7])
    maps = number(net.three(net.two(net.one(images).relu()).relu()))
    evidence = np.einsum("nchw,nc->nhw", maps, number(net.head.weight)[labels.numpy()])
    large = np.array([enlarged(one, 16) for one in evidence])
    large -= large.min((1, 2), keepdims=True)
    expected = large / large.sum((1, 2), keepdims=True)
    np.testing.assert_allclose(activation_maps(net, images, labels), expected, atol=1e-6)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_snapmix() -> None:
    """Partners tell their places, so that corners tell which box was read."""
    a = torch.full((12, 2, 13, 15), -50.0)
    b = torch.stack(torch.meshgrid(torch.arange(13.0), torch.arange(15.0), indexing="ij")).expand(
        12, 2, 13, 15
    )
    s_a, s_b = (pictures(12, 13, 15, seed=seed) ** 4 for seed in (3, 4))
    mixed, lam = SnapMix(alpha=1.0).mix(a, b, saliency_a=s_a, saliency_b=s_b, generator=generator())
    pasted = 0
    for one, share, x, y in zip(number(mixed), number(lam), number(s_a), number(s_b), strict=True):
        rows, columns = (np.flatnonzero((one[0] > -1).any(axis)) for axis in (1, 0))
        if len(rows) < 2 or len(columns) < 2:
            continue
        box = one[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        (top, left), (bottom, right) = box[:, 0, 0], box[:, -1, -1]
        np.testing.assert_allclose(
            box[0], np.linspace(top, bottom, len(rows))[:, None] + 0 * box[0], atol=1e-4
        )
        np.testing.assert_allclose(box[1], np.linspace(left, right, len(columns)) + 0 * box[1], atol=1e-4)
        read = y[round(top) : round(bottom) + 1, round(left) : round(right) + 1].sum() / y.sum()
        kept = 1 - x[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].sum() / x.sum()
        assert share == pytest.approx(kept / (kept + read), abs=1e-5)
        pasted += 1
    assert pasted > 6


def adain(x: Floats, y: Floats) -> Floats:
    """x with mean and deviation of y in each color."""
    (m, s), (n, t) = (
        (z.mean((1, 2), keepdims=True), np.sqrt(z.var((1, 2), ddof=1, keepdims=True) + 1e-5)) for z in (x, y)
    )
    return np.asarray((x - m) / s * t + n)


def test_stylemix() -> None:
    """The three weights by least squares; a draw of t within its bounds."""
    a, b = pictures(6, 3, 5, 4), pictures(6, 3, 5, 4, seed=2)
    mixed, lam = StyleMix(content_weight=0.6).mix(a, b, generator=generator())
    for one, x, y, share in zip(number(mixed), number(a), number(b), number(lam), strict=True):
        of_x, of_y = adain(x, y), adain(y, x)
        sides = np.stack([part.ravel() for part in (of_x - y, of_y - y, x + y - of_x - of_y)], axis=1)
        (c, s, t), _, rank, _ = np.linalg.lstsq(sides, (one - y).ravel(), rcond=None)
        np.testing.assert_allclose(sides @ (c, s, t), (one - y).ravel(), atol=1e-5)
        assert rank == 3 and max(0, c + s - 1) - 1e-4 <= t <= min(c, s) + 1e-4
        assert share == pytest.approx(0.6 * c + 0.4 * s, abs=1e-4)


def test_stylecutmix() -> None:
    """Outside a box a, in it b, each leaning to the other's style as far as is left of its own."""
    a, b = pictures(8, 3, 9, 8), pictures(8, 3, 9, 8, seed=2)
    mixed = StyleCutMix(alpha=2.0).blend(Pair(a, b), None, generator())
    for one, x, y, share, mask in zip(*map(number, (mixed.images, a, b, mixed.lam, mixed.mask)), strict=True):
        outside = np.broadcast_to(mask > mask.mean(), x.shape)
        (x_lean, y_lean), box = (adain(x, y) - x, adain(y, x) - y), ~outside
        if not box.any():
            continue
        first = (one - x)[outside] @ x_lean[outside] / (x_lean[outside] ** 2).sum()
        second = (one - y)[box] @ y_lean[box] / (y_lean[box] ** 2).sum()
        np.testing.assert_allclose(one, np.where(outside, x + first * x_lean, y + second * y_lean), atol=1e-5)
        s, g, m = second / (first + second), 1 - first - second, outside.mean()
        assert share == pytest.approx(0.7 * m + 0.3 * (g * m + (1 - g) * s), abs=1e-4)
        assert mask.mean() == pytest.approx(share, abs=1e-5)


def test_tokenmix_draws_blocks_as_beit_hides_them() -> None:
    """One block after the other in a loop, from the same numbers."""
    cells, wanted, draws = 6, [0, 5, 12, 30], number(pictures(24, 4, 4, seed=7))
    expected = np.zeros((4, cells, cells), bool)
    for grid, count, tries in zip(expected, wanted, draws.transpose(1, 0, 2), strict=True):
        for area, aspect, row, column in tries:
            missing = count - grid.sum()
            place = 1 + area * (missing - 1)
            ratio = math.exp(math.log(0.3) * (1 - 2 * aspect))
            if missing < 1:
                break
            height, width = round(math.sqrt(place * ratio)), round(math.sqrt(place / ratio))
            if not (height < cells and width < cells):
                continue
            top, left = int(row * (cells - height + 1)), int(column * (cells - width + 1))
            block = np.zeros_like(grid)
            block[top : top + height, left : left + width] = True
            if 0 < (block & ~grid).sum() <= missing:
                grid |= block
    found = block_cells(torch.tensor(wanted, dtype=torch.float32), cells, torch.from_numpy(draws).float())
    np.testing.assert_array_equal(found, expected)
    assert expected.sum((1, 2)).tolist()[1] == 5


def test_tokenmix() -> None:
    a, b = torch.zeros(8, 1, 12, 12), torch.ones(8, 1, 12, 12)
    s_a, s_b = (pictures(8, 12, 12, seed=seed) ** 4 for seed in (3, 4))
    mixed, lam = TokenMix(cells=6).mix(a, b, saliency_a=s_a, saliency_b=s_b, generator=generator())
    pasted, x, y = (number(part) for part in (mixed[:, 0], s_a, s_b))
    kept, got = ((1 - pasted) * x).sum((1, 2)) / x.sum((1, 2)), (pasted * y).sum((1, 2)) / y.sum((1, 2))
    np.testing.assert_allclose(lam, kept / (kept + got), atol=1e-6)
    patches = pasted.reshape(8, 6, 2, 6, 2)
    assert (patches == patches[:, :, :1, :, :1]).all() and 0 < pasted.mean() < 1


def class_attention(block: Any, tokens: Floats) -> Floats:
    """Of the class token to the patches, mean over two heads, of a timm block of 16 channels."""
    mean, variance = tokens.mean(-1, keepdims=True), tokens.var(-1, keepdims=True)
    gain, shift = values(block.norm1)
    weight, bias = values(block.attn.qkv)
    qkv = ((tokens - mean) / np.sqrt(variance + block.norm1.eps) * gain + shift) @ weight.T + bias
    query, key = (part.reshape(*tokens.shape[:2], 2, 8) for part in np.split(qkv, 3, axis=-1)[:2])
    return np.asarray(softmax(np.einsum("nhd,nthd->nht", query[:, 0], key) / math.sqrt(8)).mean(1)[:, 1:])


def test_tokenmixup() -> None:
    """Tokens behind the first of two blocks, where the partner's class token looks at them more."""
    net: Any = net_for(TokenMixup(), 4).body
    with torch.no_grad():
        net.blocks[1].attn.qkv.weight.mul_(20)
    images, mixer = pictures(6, 3, 32, 32), TokenMixup(threshold=0.0005, layers=("blocks.0",))
    shown: list[Floats] = []
    net.blocks[1].register_forward_pre_hook(lambda _, inputs: shown.append(number(inputs[0])))
    with mixer.applied(net, images, torch.arange(6) % 4, generator=generator()) as mixed:
        net(mixed.images)
    net(images)
    found, plain = shown
    s = class_attention(net.blocks[1], plain)
    partner = mixed.partner.numpy()
    taken = s[partner] - s > 0.0005
    expected = plain.copy()
    expected[:, 1:] = np.where(taken[..., None], plain[partner, 1:], plain[:, 1:])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    kept, got = (s * ~taken).sum(1), (s[partner] * taken).sum(1)
    np.testing.assert_allclose(mixed.target.lam, kept / (kept + got), atol=1e-5)
    assert 0.1 < taken.mean() < 0.9


def centers(length: int, count: int) -> Any:
    """Pixels in which the centers of so many equal parts lie."""
    return np.array([int((place + 0.5) * length / count) for place in range(count)], dtype=int)


def test_recursivemix() -> None:
    """The images of the step before, every so many rows and columns, in a box of at most half the image."""
    mixer, history = RecursiveMix(), None
    for step in range(3):
        images, labels = pictures(7, 2, 12, 10, seed=step) + 2 * step, pictures(7, 5, seed=9 + step)
        labels = labels / labels.sum(1, keepdim=True)
        before = None if history is None else (number(history.images), number(history.target))
        mixed, target, history = mixer(images, labels, history, generator=generator(step))
        np.testing.assert_array_equal(number(history.images), number(mixed))
        if before is None:
            assert torch.equal(mixed, images) and torch.equal(target, labels)
            continue
        for n, (one, own) in enumerate(zip(number(mixed), number(images), strict=True)):
            changed = (one != own).all(0)
            lam = 1 - changed.mean()
            rows, columns = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
            assert lam >= 0.5 and changed.sum() == len(rows) * len(columns)
            pasted = before[0][n][:, centers(12, len(rows))][:, :, centers(10, len(columns))]
            np.testing.assert_array_equal(one[:, rows][:, :, columns], pasted)
            np.testing.assert_allclose(
                target[n], lam * number(labels[n]) + (1 - lam) * before[1][n], atol=1e-6
            )


def test_the_objective_of_comixup() -> None:
    """As its code has it: sums over cells, and weights divided by their number."""
    draw = np.random.default_rng(0)
    saliency = draw.random((2, 5, 4, 3)) ** 2
    cost = -saliency / saliency.sum((2, 3), keepdims=True)
    alike = np.eye(5) + 0.1 * draw.random((2, 5, 5))
    alike = (alike + alike.transpose(0, 2, 1)) / 2
    first, second = draw.integers(5, size=(2, 2, 5, 4, 3))
    z = (np.eye(5)[first] + np.eye(5)[second]) / 2  # problem, mixed image, row, column, image
    used = z.sum((2, 3))
    penalty = np.einsum("pab,pjb->pja", alike, used.sum(1, keepdims=True) - used)
    expected = np.einsum("pahw,pjhwa->p", cost, z)
    expected += 0.32 / 12 / 2 * (np.diff(z, axis=2) ** 2).sum((1, 2, 3, 4))
    expected += 0.32 / 12 / 2 * (np.diff(z, axis=3) ** 2).sum((1, 2, 3, 4))
    expected += 1.0 / 12 * (np.where(penalty > 0.83 * 12, penalty, 0) * used).sum((1, 2))
    found = joint_cost(
        torch.from_numpy(cost).float(),
        torch.from_numpy(alike).float(),
        Sources(torch.from_numpy(first), torch.from_numpy(second)),
        beta=0.32,
        gamma=1.0,
        threshold=0.83,
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert (penalty > 0.83 * 12).any() and (penalty < 0.83 * 12).any()


def test_mixup_without_hesitation() -> None:
    """Three phases: all, every other batch, ever fewer."""
    schedule = MixingSchedule(Mixup(), "mwh")
    step, total = np.arange(200), 200
    expected = np.where(step < 0.6 * total, 1.0, (step + 1) % 2)
    expected = np.where(step < 0.9 * total, expected, (total - step) / (0.1 * total))
    found = [schedule.chance(Step(int(n), total)) for n in step]
    np.testing.assert_allclose(found, expected, atol=1e-9)
