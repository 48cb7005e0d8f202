"""Which images to label next: each method against its definition, written as a slow loop."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ssl_mix.errors import UserError
from ssl_mix.labeling import (
    METHODS,
    Pool,
    badge,
    default_method,
    diverse,
    entropy,
    margin,
    suggest,
    typiclust,
)
from ssl_mix.labeling.badge import residuals
from ssl_mix.labeling.k_means_plus_plus import draw
from ssl_mix.labeling.typiclust import assigned, mean_distances


def scene(count: int = 40, width: int = 6, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count, width, generator=generator)
    return features, torch.randn(count, classes, generator=generator).mul(2).softmax(dim=1)


def test_margin_and_entropy_are_their_formulas_in_float64() -> None:
    _, probabilities = scene()
    for row, found, other in zip(
        probabilities.double().tolist(), margin(probabilities), entropy(probabilities), strict=True
    ):
        low, high = sorted(row)[-2:]
        assert found.item() == pytest.approx(1 - (high - low), abs=1e-6)
        assert other.item() == pytest.approx(-sum(p * np.log(p) for p in row), abs=1e-6)


def test_certain_and_single_classes_have_no_doubt() -> None:
    certain = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert margin(certain).tolist() == entropy(certain).tolist() == [0, 0]
    assert margin(torch.ones(2, 1)).tolist() == entropy(torch.ones(2, 1)).tolist() == [0, 0]


@pytest.mark.parametrize(
    "wrong", [torch.ones(3), torch.ones(3, 2) * 2, torch.ones(3, 2).long(), torch.ones(3, 0)]
)
def test_logits_and_other_shapes_are_refused(wrong: Tensor) -> None:
    with pytest.raises(UserError, match="probabilities must"):
        margin(wrong)


def plain_k_means_plus_plus(
    points: np.ndarray, first: int, count: int, seed: int
) -> tuple[list[int], list[float]]:
    """On all points, in float64, with the draws of ``diverse``."""
    generator = torch.Generator().manual_seed(seed)
    chosen, scores = [first], [float(np.linalg.norm(points[first]))]
    while len(chosen) < count:
        squared = [min(((point - points[c]) ** 2).sum() for c in chosen) for point in points]
        weights = torch.tensor(
            [0.0 if i in chosen else s for i, s in enumerate(squared)], dtype=torch.float64
        )
        place = draw(weights, weights > 0, generator)
        chosen.append(place)
        scores.append(float(np.sqrt(squared[place])))
    return chosen, scores


def test_badge_is_k_means_plus_plus_on_the_gradient_embeddings() -> None:
    """Those that autograd gives of the cross entropy against the likeliest class, in float64."""
    features, _ = scene()
    layer = torch.nn.Linear(6, 4).double()
    logits = layer(features.double())
    embeddings = []
    for row in logits:
        loss = torch.nn.functional.cross_entropy(row[None], row.argmax()[None])
        embeddings.append(torch.autograd.grad(loss, layer.weight, retain_graph=True)[0].flatten().numpy())
    points = np.array(embeddings)
    first = int(np.linalg.norm(points, axis=1).argmax())
    expected, distances = plain_k_means_plus_plus(points, first, 12, seed=3)
    probabilities = logits.detach().softmax(dim=1).float()
    found = badge(features, probabilities, 12, generator=torch.Generator().manual_seed(3))
    assert found.indices.tolist() == expected
    np.testing.assert_allclose(found.scores.numpy(), distances, rtol=1e-4)


def test_residuals_are_those_of_the_likeliest_class() -> None:
    assert residuals(torch.tensor([[0.2, 0.8], [0.5, 0.5]])).tolist() == [
        [pytest.approx(0.2), pytest.approx(-0.2)],
        [-0.5, 0.5],
    ]


def test_diverse_images_lie_apart_from_known_ones() -> None:
    features, _ = scene()
    known = features[:5] + 0.01
    found = diverse(features, 8, known=known, generator=torch.Generator().manual_seed(0))
    centers = [*known.double().numpy()]
    for index, score in zip(found.indices.tolist(), found.scores.tolist(), strict=True):
        point = features[index].double().numpy()
        assert score == pytest.approx(min(np.linalg.norm(point - center) for center in centers), rel=1e-5)
        centers.append(point)


def test_k_means_plus_plus_draws_by_squared_distance() -> None:
    features, known = torch.tensor([[0.0], [1.0], [2.0]]), torch.zeros(1, 1)
    draws = [
        int(diverse(features, 1, known=known, generator=torch.Generator().manual_seed(n)).indices)
        for n in range(2000)
    ]
    shares = np.bincount(draws, minlength=3) / 2000
    np.testing.assert_allclose(shares, [0, 0.2, 0.8], atol=0.03)


def test_typical_images_are_those_of_the_published_loop() -> None:
    """The authors' loop over clusters without small ones, on the same clusters."""
    generator = torch.Generator().manual_seed(1)
    centers = 8 * torch.randn(6, 5, generator=generator)
    sizes = (30, 25, 20, 12, 9, 3)
    features = torch.cat(
        [
            center + torch.randn(size, 5, generator=generator)
            for center, size in zip(centers, sizes, strict=True)
        ]
    )
    known, features = features[:2], features[2:]
    count = 5
    every = torch.cat((features, known))
    labels = assigned(every, len(known) + count, 0).numpy()
    existing = list(range(len(features), len(every)))
    order = [c for c in range(labels.max() + 1) if (labels == c).sum() > 5]
    order.sort(key=lambda c: (sum(labels[i] == c for i in existing), -(labels == c).sum()))
    labels[existing] = -1
    expected, points = [], every.double().numpy()
    for turn in range(count):
        members = np.flatnonzero(labels == order[turn % len(order)])
        apart = np.linalg.norm(points[members][:, None] - points[members][None], axis=2)
        near = np.sort(apart, axis=1)[:, 1 : 1 + min(20, len(members) // 2)]
        expected.append(int(members[near.mean(axis=1).argmin()]))
        labels[expected[-1]] = -1
    found = typiclust(features, count, known=known, seed=0)
    assert found.indices.tolist() == expected
    assert (found.scores > 0).all()


def test_clusters_without_labels_come_first() -> None:
    near, far = torch.randn(30, 4) * 0.1, torch.randn(10, 4) * 0.1 + 50
    [found] = typiclust(torch.cat((near, far)), 1, known=near[:1]).indices.tolist()
    assert found >= 30, "the larger cluster has a label, the smaller has none"


def test_mean_distances_leave_out_the_image_itself() -> None:
    assert mean_distances(torch.tensor([[0.0], [1.0], [3.0]]), 2).tolist() == [2, 1.5, 2.5]
    assert mean_distances(torch.zeros(1, 3), 5).tolist() == [0]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_gives_each_image_once_and_the_same_again(name: str) -> None:
    features, probabilities = scene()
    pool = Pool(features, features[:3], probabilities)
    found = suggest(pool, 15, name, seed=5)
    assert len(set(found.indices.tolist())) == 15 and len(found.scores) == 15
    assert found.indices.equal(suggest(pool, 15, name, seed=5).indices)
    everything = suggest(pool, 1000, name).indices
    assert sorted(everything.tolist()) == list(range(40))


@pytest.mark.parametrize("name", METHODS)
def test_identical_images_and_one_class_are_no_trouble(name: str) -> None:
    pool = Pool(torch.ones(9, 4), torch.ones(2, 4), torch.ones(9, 1))
    for count in (1, 4, 9, 20):
        found = suggest(pool, count, name)
        assert len(set(found.indices.tolist())) == min(count, 9)
        assert found.scores.isfinite().all()
    assert len(suggest(Pool(torch.ones(0, 4), torch.ones(2, 4), torch.ones(0, 1)), 3, name).indices) == 0


@pytest.mark.parametrize("choose", [diverse, typiclust])
def test_known_features_are_checked_too(choose: Callable[..., object]) -> None:
    for known in (torch.zeros(1, 3), torch.full((1, 2), float("nan"))):
        with pytest.raises(UserError, match="known"):
            choose(torch.randn(5, 2), 2, known=known)


@pytest.mark.parametrize("call", [margin, entropy, lambda given: diverse(given, 2)])
def test_arrays_are_refused_in_one_sentence(call: Callable[[object], object]) -> None:
    with pytest.raises(UserError, match="must be a tensor, got ndarray"):
        call(np.ones((3, 2)))


def test_what_is_refused() -> None:
    features, probabilities = scene()
    with pytest.raises(UserError, match="nothing is labeled yet: choose typicality, diverse, random"):
        suggest(Pool(features, features[:0]), 3, "margin")
    with pytest.raises(UserError, match="Did you mean 'margin'"):
        suggest(Pool(features, features[:0]), 3, "margins")
    with pytest.raises(UserError, match="n must be above 0"):
        suggest(Pool(features, features[:0]), 0, "diverse")
    with pytest.raises(UserError, match="features must be finite"):
        typiclust(features * float("nan"), 3)
    with pytest.raises(UserError, match="as many probabilities as features"):
        badge(features, probabilities[1:], 3)


def test_the_default_has_its_reason() -> None:
    for labels in (0, 20, 500):
        name, reason = default_method(labels, 10)
        assert name in METHODS and ("nothing" in reason if not labels else f"{labels} labels" in reason)
