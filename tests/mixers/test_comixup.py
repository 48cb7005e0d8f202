"""Co-Mixup: what it reaches against every choice in tiny cases, its labels, and its target in losses."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.losses import DecoupledMixupBCELoss, DecoupledMixupLoss, LUMixLoss
from ssl_mix.mixers import CoMixup
from ssl_mix.mixers.comixup import peak_distances
from ssl_mix.mixers.joint_sources import HALVES, Sources, choose_sources, joint_cost, least_sources
from ssl_mix.randomness import sample_dirichlet
from ssl_mix.reports.mixing_shown import mix_together
from ssl_mix.types import JointTarget, MixedTarget

WEIGHTS = {"beta": 0.32, "gamma": 1.0, "threshold": 0.83}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def borders(shares: NDArray[Any]) -> float:
    """Half the squared differences between neighbors of one mixed image (m, h, w)."""
    height, width = shares.shape[1:]
    total = 0.0
    for row, column in np.ndindex(height, width):
        for other in ((row + 1, column), (row, column + 1)):
            if other[0] < height and other[1] < width:
                total += ((shares[:, row, column] - shares[:, other[0], other[1]]) ** 2).sum() / 2
    return total


def problem(count: int, height: int, width: int, seed: int) -> tuple[Tensor, Tensor]:
    """Costs (4, m, h, w) of uneven saliency, and A."""
    saliency = torch.rand(4, count, height, width, generator=generator(seed)) ** 2
    saliency = saliency / saliency.sum((2, 3), keepdim=True)
    return -saliency, torch.lerp(torch.eye(count), peak_distances(saliency), 0.1)


def every_choice(count: int, cells: int) -> NDArray[Any]:
    """Codes (m (m + 1) / 2, m) of what a cell may show, and all choices of them, (K, cells)."""
    pairs = list(itertools.combinations_with_replacement(range(count), 2))
    codes = np.array([(np.eye(count)[a] + np.eye(count)[b]) / 2 for a, b in pairs])
    return codes[np.array(list(itertools.product(range(len(pairs)), repeat=cells)))]


def test_one_mixed_image_costs_what_the_best_of_all_choices_does() -> None:
    """Six cells of three images: 46656 choices. Twelve of them at random; to 2 % of what a cell costs."""
    choices = every_choice(3, 6).reshape(-1, 2, 3, 3).transpose(0, 3, 1, 2)
    across = ((choices[..., 1:] - choices[..., :-1]) ** 2).sum((1, 2, 3))
    along = ((choices[:, :, 1:] - choices[:, :, :-1]) ** 2).sum((1, 2, 3))
    both = (choices.max(1) < 1).sum((1, 2))
    gaps = []
    for seed in range(3):
        cost, _ = problem(3, 2, 3, seed)
        nothing = torch.zeros(4, 2, 3, dtype=torch.int64)
        sources = least_sources(cost, Sources(nothing, nothing), 0.32 / 6, halves=True)
        for given, shares in zip(cost.double().numpy(), sources.shares(3).double().numpy(), strict=True):
            every = (given * choices).sum((1, 2, 3)) + 0.16 / 6 * (across + along) - HALVES * both
            mine = (given * shares).sum() + 0.32 / 6 * borders(shares) - HALVES * (shares.max(0) < 1).sum()
            gaps.append((mine - every.min()) * 6)
    assert min(gaps) > -1e-6
    assert np.mean(gaps) < 0.02


def test_mixed_images_together_cost_little_more_than_the_best_of_all_choices() -> None:
    """Three mixed images of three, of two cells: 46656 choices. Never worse than the images as they are."""
    choices = every_choice(3, 6).reshape(-1, 3, 1, 2, 3).transpose(0, 1, 4, 2, 3)
    gaps, plain = [], []
    for seed in range(5):
        cost, alike = problem(3, 1, 2, seed)
        sources = choose_sources(cost, alike, 3, **WEIGHTS, rounds=4, generator=generator(seed))
        found = joint_cost(cost, alike, sources, **WEIGHTS).numpy()
        same = torch.arange(3)[None, :, None, None].expand(4, 3, 1, 2)
        plain.extend(joint_cost(cost, alike, Sources(same, same), **WEIGHTS).numpy() - found)
        for given, compatible, mine in zip(cost.double().numpy(), alike.double().numpy(), found, strict=True):
            shown = choices.mean((3, 4))
            used = (shown.sum(1, keepdims=True) - shown) @ compatible
            every = (given * choices).sum((1, 2, 3, 4)) + 2 * (shown * used * (used > 0.83)).sum((1, 2))
            every += 0.08 * ((choices[..., 1:] - choices[..., :-1]) ** 2).sum((1, 2, 3, 4))
            gaps.append((mine - every.min()) / (every.mean() - every.min()))
    assert min(plain) > -1e-5 < min(gaps)
    assert np.mean(gaps) < 0.1  # of what choosing at random costs more


def test_without_diversity_each_cell_shows_what_is_salient_there() -> None:
    """Four images, each salient in its own quarter."""
    saliency = torch.full((4, 8, 8), 0.01)
    for number, (row, column) in enumerate(itertools.product((0, 4), (0, 4))):
        saliency[number, row : row + 4, column : column + 4] = 1
    values = torch.arange(4.0)[:, None, None, None].expand(4, 2, 8, 8)
    mixed = CoMixup(gamma=0, blocks=2).jointly(values, saliency, generator()).images
    expected = torch.arange(4.0).view(2, 2).repeat_interleave(4, 0).repeat_interleave(4, 1)
    assert torch.equal(mixed, expected.expand(4, 2, 8, 8))


def test_diversity_spreads_the_images_over_the_mixed_ones() -> None:
    """One image is more salient than all others, everywhere it counts."""
    saliency = torch.rand(12, 8, 8, generator=generator(1)) + 0.5
    saliency[0, :4] += 20
    used = {}
    for gamma in (0.0, 1.0):
        joint = CoMixup(gamma=gamma).jointly(torch.zeros(12, 1, 8, 8), saliency, generator())
        used[gamma] = torch.zeros(12, 12).scatter_add(1, joint.sources, joint.shares).sum(0)
    assert used[0.0][0] > 4
    assert used[1.0].max() < 1.6


@pytest.mark.parametrize(("count", "shape"), [(1, (8, 8)), (2, (5, 3)), (7, (9, 17)), (23, (8, 8))])
def test_shares_are_those_of_the_pixels_whatever_is_left_of_the_parts(count: int, shape: Any) -> None:
    saliency = torch.rand(count, *shape, generator=generator(1)) ** 3
    marks = torch.eye(count)[:, :, None, None].expand(-1, -1, *shape)
    joint = CoMixup(part=5).jointly(marks, saliency, generator())
    shown = torch.zeros(count, count).scatter_add(1, joint.sources, joint.shares)
    torch.testing.assert_close(joint.images.mean((2, 3)), shown, rtol=0, atol=1e-6)
    parts = torch.arange(count) // 5
    assert (shown[parts[:, None] != parts] == 0).all()
    assert set(joint.images.unique().tolist()) <= {0, 0.5, 1}


def test_a_place_that_is_not_used_repeats_a_class_that_is_shown() -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 6))
    images, labels = torch.rand(6, 1, 8, 8, generator=generator(1)), torch.arange(6)
    _, target = CoMixup()(images, labels, net=net, generator=generator())
    for classes, shares in zip(*target, strict=True):
        assert set(classes.tolist()) == set(classes[shares > 0].tolist())
    torch.testing.assert_close(
        target.dense(6), torch.einsum("nk,nkc->nc", target.shares, F.one_hot(target.labels, 6).float())
    )


def test_the_dirichlet_distribution_has_its_moments() -> None:
    drawn = sample_dirichlet((4000, 5), 2.0, generator(), torch.device("cpu"))
    torch.testing.assert_close(drawn.sum(1), torch.ones(4000))
    assert (drawn.mean(0) - 0.2).abs().max() < 5 * (0.16 / 11 / 4000) ** 0.5
    assert (drawn.var(0) - 0.16 / 11).abs().max() < 0.002


def joint_target() -> tuple[Tensor, JointTarget]:
    shares = torch.tensor([[0.5, 0.3, 0.2, 0.0], [1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25]])
    labels = torch.tensor([[0, 1, 2, 0], [3, 3, 3, 3], [5, 1, 5, 4]])
    return torch.randn(3, 8, generator=generator(4)), JointTarget(labels, shares)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_decoupled_mixup_is_that_of_dense_targets_of_as_many_classes(smoothing: float) -> None:
    logits, target = joint_target()
    for eta in (0.0, 0.7):
        options = {"eta": eta, "label_smoothing": smoothing, "reduction": "none"}
        found = DecoupledMixupLoss(**options)(logits, target)
        expected = DecoupledMixupLoss(classes=4, **options)(logits, target.dense(8))
        torch.testing.assert_close(found, expected)


def test_of_two_images_it_is_that_of_pairs() -> None:
    logits, (labels, shares) = torch.randn(3, 8, generator=generator(4)), joint_target()[1]
    pairs = JointTarget(labels[:, :2], torch.stack((shares[:, 0], 1 - shares[:, 0]), 1))
    expected = DecoupledMixupLoss(0.7)(logits, MixedTarget(*labels[:, :2].unbind(1), shares[:, 0]))
    torch.testing.assert_close(DecoupledMixupLoss(0.7)(logits, pairs), expected)


def test_binary_cross_entropy_wants_each_class_by_r_of_its_share() -> None:
    logits, target = joint_target()
    wanted = torch.zeros(3, 8)
    for row, column, share in (
        (0, 0, 0.5),
        (0, 1, 0.3),
        (0, 2, 0.2),
        (1, 3, 1),
        (2, 5, 0.5),
        (2, 1, 0.25),
        (2, 4, 0.25),
    ):
        wanted[row, column] = min(1, share / 0.4)
    expected = F.binary_cross_entropy_with_logits(logits, wanted)
    torch.testing.assert_close(DecoupledMixupBCELoss(xi=0.4)(logits, target), expected)


def test_what_does_not_go_with_many_images_is_refused() -> None:
    logits, target = joint_target()
    with pytest.raises(UserError, match="sides='minor'"):
        DecoupledMixupLoss(sides="minor")(logits, target)
    with pytest.raises(UserError, match="labels must lie in"):
        DecoupledMixupLoss()(logits[:, :5], target)
    with pytest.raises(UserError, match="target"):
        LUMixLoss()(logits, target)
    for change in ({"labels": target.labels[:2]}, {"shares": target.shares.long()}):
        for criterion in (DecoupledMixupLoss(), DecoupledMixupBCELoss()):
            with pytest.raises(UserError, match="labels must be|weights must be"):
                criterion(logits, target._replace(**change))


def test_it_is_drawn_with_where_the_left_image_shows() -> None:
    images = torch.arange(6.0)[:, None, None, None].expand(6, 1, 8, 8)
    saliency = torch.rand(6, 8, 8, generator=generator(1)) ** 3
    mixed = mix_together(CoMixup(), images, saliency, seed=0)
    assert (mixed.images.shape, mixed.mask.shape) == ((3, 1, 8, 8), (3, 1, 8, 8))
    for base, picture, mask in zip((0, 2, 4), mixed.images, mixed.mask, strict=True):
        assert (picture[mask == 1] == base).all()
        assert (picture[mask == 0] != base).all()


@pytest.mark.parametrize(
    "options", [{"blocks": 0}, {"part": 0}, {"rounds": 0}, {"eta": -1.0}, {"compatibility": 2.0}]
)
def test_arguments(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(options))):
        CoMixup(**options)
