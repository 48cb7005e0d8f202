"""The heads that a pre-trained network starts from, against scikit-learn on raw features and against a loop
in NumPy."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.models import SmallCNN, adapt
from ssl_mix.transfer.starts import NEVER, LinearHead, blended, probe, prototypes, summed

Array = npt.NDArray[np.float64]


def clouds(
    per_class: int, classes: int = 4, width: int = 12, noise: float = 0.6, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Features around class means that lie off the origin, and their labels."""
    centers = torch.randn(classes, width, generator=torch.Generator().manual_seed(99)) + 2
    draws = torch.Generator().manual_seed(seed)
    labels = torch.arange(classes).repeat_interleave(per_class)
    return centers[labels] + noise * torch.randn(len(labels), width, generator=draws), labels


def right(head: LinearHead, features: Tensor, labels: Tensor) -> float:
    return (head(features).argmax(1) == labels).float().mean().item()


@pytest.mark.parametrize("width", [12, 40])  # more and fewer images than numbers of a feature
def test_the_probe_is_the_logistic_regression_of_scikit_learn_on_raw_features(width: int) -> None:
    features, labels = clouds(4, width=width)
    found = probe(features, labels, 4)
    known = LogisticRegression(C=1.0, max_iter=10_000, tol=1e-8).fit(features.double().numpy(), labels)
    assert found.strength == 1.0
    np.testing.assert_allclose(found.weight, known.coef_, atol=2e-3)
    logits = found(features).double().numpy()
    expected = known.decision_function(features.double().numpy())
    np.testing.assert_allclose(
        logits - logits.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=1e-2
    )


def test_two_classes_are_told_apart_as_scikit_learn_does() -> None:
    features, labels = clouds(5, classes=2)
    found = probe(features, labels, 2)
    known = LogisticRegression(max_iter=10_000, tol=1e-8).fit(features.double().numpy(), labels)
    difference = found(features)[:, 1] - found(features)[:, 0]
    np.testing.assert_allclose(difference, known.decision_function(features.double().numpy()), atol=1e-2)


def test_a_strength_is_chosen_where_there_are_labels_enough_by_the_seed() -> None:
    features, labels = clouds(6, noise=4.0)
    assert probe(features, labels, 4).strength == 0.1  # what is mostly noise wants much regularization
    again = probe(features, labels, 4)
    assert torch.equal(again.weight, probe(features, labels, 4).weight)
    few, theirs = clouds(5, noise=4.0)
    assert probe(few, theirs, 4).strength == 1.0


@pytest.mark.parametrize("make", [probe, lambda x, y, c: prototypes(x, y, x, c)])
def test_a_class_without_labels_is_never_predicted(make: Any) -> None:
    features, labels = clouds(3)
    for missing in range(4):
        kept = labels != missing
        head = make(features[kept], labels[kept], 4)
        assert missing not in head(features).argmax(1)
        assert head.weight[missing].count_nonzero() == 0
        assert right(head, features[kept], labels[kept]) > 0.9
    alone = make(features[labels == 2], labels[labels == 2], 4)
    assert set(alone(features).argmax(1).tolist()) == {2}


def reference(
    x: Array, y: npt.NDArray[np.int64], u: Array, classes: int, weight: float, outlier: float, scale: float
) -> tuple[Array, Array]:
    """Soft k-means, image by image and class by class; the direction of each class and the center."""
    center = np.mean(np.concatenate([x, u]), axis=0)

    def unit(v: Array) -> Array:
        return np.asarray(v / np.sqrt(np.sum(v * v)))

    labeled = {
        c: [unit(f - center) for f, label in zip(x, y, strict=True) if label == c] for c in range(classes)
    }
    means = {c: sum(members) / len(members) for c, members in labeled.items()}
    now = dict(means)
    for _ in range(20):
        total = {c: weight * len(labeled[c]) * means[c] for c in range(classes)}
        mass = {c: weight * len(labeled[c]) for c in range(classes)}
        for f in u:
            z = unit(f - center)
            powers = [np.exp(scale * float(z @ unit(now[c]))) for c in range(classes)]
            every = sum(powers) + np.exp(scale * outlier)
            for c in range(classes):
                total[c] = total[c] + powers[c] / every * z
                mass[c] += powers[c] / every
        now = {c: total[c] / mass[c] for c in range(classes)}
    return np.stack([unit(now[c]) for c in range(classes)]), center


def test_prototypes_are_those_of_a_loop_over_images_and_classes() -> None:
    features, labels = clouds(2)
    free, _ = clouds(9, classes=5, noise=1.0, seed=1)  # one class more than is labeled
    found = prototypes(features, labels, free, 4)
    x, u = features.double().numpy(), free.double().numpy()
    directions, center = reference(x, labels.numpy(), u, 4, 2.0, 0.4, 20.0)
    spread = np.mean([np.linalg.norm(f - center) for f in np.concatenate([x, u])])
    np.testing.assert_allclose(found.weight, 20.0 / spread * directions, atol=1e-5)
    expected = 20.0 / spread * (u - center) @ directions.T
    np.testing.assert_allclose(found(free), expected, atol=1e-4)


def test_without_unlabeled_images_the_nearest_class_mean_is_left() -> None:
    features, labels = clouds(3)
    head = prototypes(features, labels, features[:0], 4)
    z = nn.functional.normalize(features - features.mean(0), dim=1)
    means = torch.stack([z[labels == c].mean(0) for c in range(4)])
    cosines = z @ nn.functional.normalize(means, dim=1).T
    assert torch.equal(head(features).argmax(1), cosines.argmax(1))
    others, theirs = clouds(20, seed=3)
    assert right(head, others, theirs) > 0.9


def test_unlabeled_images_mend_a_label_that_is_far_from_its_class() -> None:
    features, labels = clouds(1, noise=2.0, seed=5)
    free, truth = clouds(30, noise=0.8, seed=6)
    before = right(prototypes(features, labels, free, 4, rounds=0), free, truth)
    after = right(prototypes(features, labels, free, 4), free, truth)
    assert after > before + 0.03
    heavy = prototypes(features, labels, free, 4, label_weight=1e9)
    still = prototypes(features, labels, free, 4, rounds=0)
    torch.testing.assert_close(heavy.weight, still.weight, rtol=1e-4, atol=1e-5)


def test_images_of_no_class_move_prototypes_less_where_outliers_are_known() -> None:
    features, labels = clouds(2)
    foreign = features[labels < 2].mean(0)  # between two classes
    crowd = foreign + 0.3 * torch.randn(60, 12, generator=torch.Generator().manual_seed(0))
    alone = prototypes(features, labels, crowd, 4, rounds=0).weight
    moved = [
        (prototypes(features, labels, crowd, 4, outlier_cosine=cosine).weight - alone).norm()
        for cosine in (0.9, 0.4, None)
    ]
    assert 0 < moved[0] < moved[1] < moved[2]


def test_scaling_features_changes_no_answer_of_prototypes() -> None:
    features, labels = clouds(2)
    free, _ = clouds(9, seed=1)
    small, large = (prototypes(s * features, labels, s * free, 4)(s * free) for s in (0.01, 100.0))
    torch.testing.assert_close(small, large, rtol=1e-4, atol=1e-3)


def test_the_sum_of_two_heads_adds_their_logits() -> None:
    features, labels = clouds(3)
    first, second = probe(features, labels, 4), prototypes(features, labels, features, 4)
    both = summed(first, second)
    torch.testing.assert_close(both(features), first(features) + second(features))
    assert both.strength == first.strength


def test_blended_heads_have_one_deviation_and_never_answer_what_the_first_does_not() -> None:
    features, labels = clouds(3)
    kept = labels != 2
    second = probe(features[kept], labels[kept], 4)
    first = LinearHead(50 * torch.randn(4, features.shape[1]), torch.where(second.bias < -50, NEVER, 0.0))
    found = blended(first, second, features, share=0.25)
    a, b = (head(features).double().numpy()[:, [0, 1, 3]] for head in (first, second))
    s, t = (np.sqrt(np.mean((x - x.mean(1, keepdims=True)) ** 2)) for x in (a, b))
    np.testing.assert_allclose(
        found(features)[:, [0, 1, 3]], (a + 0.25 * s / t * b) / 1.25, rtol=1e-4, atol=1e-2
    )
    assert found.bias[2] == NEVER and found.strength == second.strength
    alone = LinearHead(torch.zeros(4, 2), torch.tensor([0.0, NEVER, NEVER, NEVER]))  # one class has labels
    assert blended(alone, alone, torch.rand(5, 2))(torch.rand(5, 2)).argmax(dim=1).tolist() == [0] * 5


def test_a_head_goes_into_a_network() -> None:
    for net in (SmallCNN(4), adapt(nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.Linear(6, 4)))):
        width = net.head.in_features  # type: ignore[union-attr]
        head = LinearHead(torch.randn(4, width), torch.randn(4))
        head.apply_to(net)
        assert torch.equal(net.head.weight, head.weight)  # type: ignore[union-attr]
        assert net.head.weight.requires_grad and net.head.weight.is_leaf  # type: ignore[union-attr]
    with pytest.raises(UserError, match="shape"):
        LinearHead(torch.randn(5, 64), torch.randn(5)).apply_to(SmallCNN(4))
    without = adapt(nn.Sequential(nn.Flatten(), nn.Linear(6, 4, bias=False)))
    with pytest.raises(UserError, match="bias"):
        LinearHead(torch.randn(4, 6), torch.randn(4)).apply_to(without)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": torch.zeros(0, 3)}, "features"),
        ({"features": torch.zeros(4, 3, dtype=torch.int64)}, "features"),
        ({"features": torch.full((4, 3), torch.nan)}, "finite"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, "labels"),
        ({"labels": torch.tensor([0, 1, 2, 1])}, "labels"),
        ({"num_classes": 0}, "num_classes"),
        ({"unlabeled": torch.zeros(4, 2)}, "unlabeled"),
        ({"label_weight": 0.0}, "label_weight"),
        ({"outlier_cosine": 2.0}, "outlier_cosine"),
        ({"scale": -1.0}, "scale"),
        ({"rounds": -1}, "rounds"),
    ],
)
def test_mistakes_are_named(change: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {
        "features": torch.zeros(4, 3),
        "labels": torch.tensor([0, 1, 0, 1]),
        "unlabeled": torch.zeros(2, 3),
        "num_classes": 2,
    } | change
    with pytest.raises(UserError, match=words):
        prototypes(**given)
    if set(change) <= {"features", "labels", "num_classes"}:
        del given["unlabeled"]
        with pytest.raises(UserError, match=words):
            probe(**given)
