"""Labels of least energy: against every labeling of small grids, and against minimum cuts of large ones."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from ssl_mix.mixers.grid_cut import energy_of, solve_grid
from ssl_mix.mixers.puzzle_energy import GridEnergy, binomial_prior, puzzle_energy


def plain_energies(
    labels: NDArray[Any], unary: NDArray[Any], right: NDArray[Any], down: NDArray[Any]
) -> NDArray[Any]:
    """Of labelings (K, h, w) of one sample in float64: unary (L, h, w), right (h, w - 1), down (h - 1, w)."""
    share = labels / (len(unary) - 1)
    total = np.take_along_axis(unary, labels, 0).sum((1, 2))
    borders = ((right * np.diff(share, axis=2) ** 2), (down * np.diff(share, axis=1) ** 2))
    return total + sum(cost.sum((1, 2)) for cost in borders)


def plain_energy(labels: NDArray[Any], *sample: Any) -> float:
    """Of one labeling (h, w)."""
    return plain_energies(labels[None], *sample).item()


def least_by_trial(unary: NDArray[Any], right: NDArray[Any], down: NDArray[Any]) -> np.float64:
    """Least cost of all labelings."""
    every = itertools.product(range(len(unary)), repeat=unary[0].size)
    return plain_energies(np.array(list(every)).reshape(-1, *unary.shape[1:]), unary, right, down).min()


def least_by_cut(unary: NDArray[Any], right: NDArray[Any], down: NDArray[Any]) -> NDArray[Any]:
    """Labels of least energy by one minimum cut per sample, with whole capacities.

    Cell i has a node for each of "label >= k", k = 1..L-1, on the source's side if true. With these as
    numbers x_k, ``(sum_k x_k - sum_k y_k)^2 = sum_kl |x_k - y_l| + sum_k (2 k - L) (x_k + y_k)``.
    """
    labels, height, width = unary.shape
    cells, levels = height * width, labels - 1
    source, sink = cells * levels, cells * levels + 1
    place = np.arange(cells).reshape(height, width)
    costs = np.diff(unary.reshape(labels, cells), axis=0)
    edges = []
    for one, other, weight in ((place[:, :-1], place[:, 1:], right), (place[:-1], place[1:], down)):
        one, other, weight = one.ravel(), other.ravel(), weight.ravel() / levels**2
        for k, j in np.ndindex(levels, levels):
            edges += [
                (k * cells + one, j * cells + other, weight),
                (j * cells + other, k * cells + one, weight),
            ]
        for k in range(levels):
            for end in (one, other):
                np.add.at(costs[k], end, (2 * (k + 1) - labels) * weight)
    largest = np.abs(costs).max() + 4 * max(right.max(), down.max())
    every = np.arange(cells)
    for k in range(levels):
        edges.append((np.full(cells, source), k * cells + every, np.maximum(-costs[k], 0)))
        edges.append((k * cells + every, np.full(cells, sink), np.maximum(costs[k], 0)))
        if k > 0:
            edges.append((k * cells + every, (k - 1) * cells + every, np.full(cells, 100 * largest)))
    start, end, capacity = (np.concatenate(part) for part in zip(*edges, strict=True))
    capacity = np.rint(capacity * (2**22 / largest)).astype(np.int32)
    graph = csr_matrix((capacity, (start, end)), shape=(sink + 1, sink + 1))
    left = graph - maximum_flow(graph, source, sink).flow
    left.eliminate_zeros()
    chosen = np.zeros(sink + 1, dtype=bool)
    chosen[breadth_first_order(left, source, return_predecessors=False)] = True
    return chosen[:source].reshape(levels, height, width).sum(0)


def random_energy(
    count: int, labels: int, height: int, width: int, strength: float, seed: int = 0
) -> GridEnergy:
    """Convex costs of either sign and weights of which some are zero."""
    draw = torch.Generator().manual_seed(seed)
    slope, bend = torch.randn(2, count, 1, height, width, generator=draw)
    share = torch.linspace(0, 1, labels)[:, None, None]
    weights = (
        strength * torch.relu(torch.rand(shape, generator=draw) - 0.2)
        for shape in ((count, height, width - 1), (count, height - 1, width))
    )
    return GridEnergy(slope * share + bend.abs() * share**2, *weights)


def puzzle(count: int, labels: int, cells: int, seed: int = 0) -> GridEnergy:
    """Energies of PuzzleMix for smooth random images with peaked random saliency."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, count, 3, 9, 9, generator=draw)
    images = [torch.nn.functional.interpolate(one, size=64, mode="bilinear") for one in coarse]
    peaked = torch.rand(2, count, cells, cells, generator=draw) ** 4
    shares = peaked / peaked.sum((2, 3), keepdim=True)
    lam = torch.rand(count, generator=draw)
    return puzzle_energy(tuple(images), tuple(shares), lam, labels=labels, beta=1.2, gamma=0.5, eta=0.2)


def samples(energy: GridEnergy) -> list[tuple[NDArray[Any], ...]]:
    return [tuple(part[k].double().numpy() for part in energy) for k in range(len(energy.unary))]


@pytest.mark.parametrize(
    ("labels", "height", "width"), [(2, 3, 4), (3, 2, 4), (4, 2, 3), (2, 1, 9), (3, 1, 1)]
)
@pytest.mark.parametrize("strength", [0.3, 3.0])
def test_no_labeling_of_a_small_grid_costs_less(
    labels: int, height: int, width: int, strength: float
) -> None:
    energy = random_energy(5, labels, height, width, strength)
    found = solve_grid(energy)
    assert (found.dtype, found.shape) == (torch.int64, (5, height, width))
    for sample, own in zip(samples(energy), found.numpy(), strict=True):
        least = least_by_trial(*sample)
        assert plain_energy(own, *sample) <= least + 0.01 * abs(least)


@pytest.mark.parametrize(("labels", "height", "width"), [(2, 3, 3), (3, 2, 2), (3, 4, 2), (4, 2, 3)])
def test_strong_borders_of_small_grids(labels: int, height: int, width: int) -> None:
    """Borders that weigh up to 3 where cells cost from 0 to 2: one cell tells the next, and that takes
    time."""
    draw = torch.Generator().manual_seed(0)
    start, end = 2 * torch.rand(2, 100, 1, height, width, generator=draw)
    unary = torch.lerp(start, end, torch.linspace(0, 1, labels)[:, None, None])
    weights = (3 * torch.rand(100, height - down, width - 1 + down, generator=draw) for down in (0, 1))
    energy = GridEnergy(unary, *weights)
    for sample, own in zip(samples(energy), solve_grid(energy).numpy(), strict=True):
        assert plain_energy(own, *sample) <= 1.01 * least_by_trial(*sample)


@pytest.mark.parametrize("labels", [2, 3])
def test_the_cut_of_this_file_is_exact(labels: int) -> None:
    for sample in samples(random_energy(6, labels, 3, 3, 1.0)):
        assert plain_energy(least_by_cut(*sample), *sample) == pytest.approx(
            least_by_trial(*sample), abs=1e-5
        )


@pytest.mark.parametrize("labels", [2, 3, 4])
@pytest.mark.parametrize("cells", [2, 4, 8, 16])
def test_puzzles_are_solved_to_one_percent(labels: int, cells: int) -> None:
    energy = puzzle(6, labels, cells)
    for sample, own in zip(samples(energy), solve_grid(energy).numpy(), strict=True):
        least = plain_energy(least_by_cut(*sample), *sample)
        assert least - 1e-4 <= plain_energy(own, *sample) <= 1.01 * least


def test_energies_are_those_of_the_definition() -> None:
    energy = random_energy(4, 3, 5, 6, 1.0)
    labels = torch.randint(3, (4, 5, 6), generator=torch.Generator().manual_seed(1))
    expected = [plain_energy(own, *one) for own, one in zip(labels.numpy(), samples(energy), strict=True)]
    np.testing.assert_allclose(energy_of(labels, energy).numpy(), expected, rtol=1e-5)


def test_a_sample_does_not_depend_on_the_others() -> None:
    energy = puzzle(8, 3, 8)
    alone = torch.cat([solve_grid(GridEnergy(*(part[k : k + 1] for part in energy))) for k in range(8)])
    assert torch.equal(solve_grid(energy), alone)


def cell_means(picture: NDArray[Any], cells: int) -> NDArray[Any]:
    """(C, n, n) of an image (C, H, W) whose sides n divides."""
    colors, height, width = picture.shape
    return picture.reshape(colors, cells, height // cells, cells, width // cells).mean((2, 4))


def test_folded_borders_cost_what_borders_cost() -> None:
    """For masks of zeros and ones the energy is lost saliency, prior and, up to a constant, differences
    across borders."""
    cells, beta, gamma, eta, count = 4, 1.7, 0.6, 0.3, 3
    draw = np.random.default_rng(0)
    images = draw.random((2, count, 2, 24, 24))
    shares = draw.random((2, count, cells, cells))
    lam = torch.tensor([0.2, 0.5, 0.9])
    energy = puzzle_energy(
        tuple(torch.tensor(images, dtype=torch.float32)),
        tuple(torch.tensor(shares, dtype=torch.float32)),
        lam,
        labels=2,
        beta=beta,
        gamma=gamma,
        eta=eta,
    )
    smooth = beta / (16 * cells)
    for k, sample in enumerate(samples(energy)):
        means = np.stack([cell_means(picture[k], cells) for picture in images])
        gaps = []
        for _ in range(8):
            mask: Any = draw.integers(0, 2, (cells, cells))
            shown = np.where(mask, means[0], means[1])
            lost = np.where(mask, shares[1, k], shares[0, k]).sum()
            logs: Any = np.where(mask, np.log(lam[k].item()), np.log(1 - lam[k].item()))
            prior = -logs.sum() / cells**2
            borders = sum(np.abs(np.diff(shown, axis=axis)).mean(0).sum() for axis in (1, 2))
            changes = sum(np.abs(np.diff(mask, axis=axis)).sum() for axis in (0, 1))
            expected = lost + eta * prior + smooth * (gamma * borders + changes)
            gaps.append(plain_energy(mask, *sample) - cells**2 * expected)
        np.testing.assert_allclose(gaps, gaps[0], rtol=0, atol=1e-4)


def test_the_prior_is_binomial() -> None:
    found = binomial_prior(torch.tensor([0.3, 0.0, 1.0]), 4)
    expected = -np.log([0.343, 3 * 0.3 * 0.49, 3 * 0.09 * 0.7, 0.027])
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-5)
    assert found[1].argmin() == 0
    assert found[2].argmin() == 3
    assert torch.isfinite(found).all()
