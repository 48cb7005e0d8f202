"""Pseudo-labels that are made less biased, against loops in float64 NumPy written from the formulas."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ssl_mix.errors import UserError
from ssl_mix.quota import GOLDEN, ClassQuota
from ssl_mix.targets import Adjuster, Align, Targets, hard_pseudo_labels
from ssl_mix.types import Nets, PseudoLabels, Step, Task

CLASSES, WIDTH, UNLABELED = 5, 7, 23
Floats = NDArray[np.float64]


class Net(nn.Module):
    """Features are a linear map of images."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        weight = np.random.default_rng(seed).standard_normal((WIDTH, 3))
        self.map = nn.Parameter(torch.from_numpy(weight))
        self.head = nn.Linear(WIDTH, CLASSES, dtype=torch.float64)

    def features(self, images: Tensor) -> Tensor:
        return images @ self.map.T

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.features(images))


class Scene:
    """An adjuster, its teacher, and steps of random predictions and images."""

    def __init__(self, targets: Targets, seed: int = 0, **options: Any) -> None:
        self.draw = np.random.default_rng(seed)
        self.adjuster = Adjuster(targets, **options)
        self.nets = Nets(Net(seed + 1), Net(seed))
        self.adjuster.extend(self.nets.student, Task(CLASSES, UNLABELED, (3, 1, 1)))
        self.adjuster.double()
        for name in {"mean_prediction", "class_share"} & dict(self.adjuster.named_buffers()).keys():
            self.adjuster.get_buffer(name).fill_(1 / CLASSES)  # which single precision rounded

    def step(self, number: int, classes: int = CLASSES, labeled: int = 6, unlabeled: int = 9) -> Any:
        self.images = self.draw.standard_normal((labeled, 3))
        self.labels = self.draw.integers(classes, size=labeled)
        self.others = self.draw.standard_normal((unlabeled, 3))
        self.p = self.draw.dirichlet(np.arange(1.0, CLASSES + 1), unlabeled)
        images, labels, others, p = map(torch.from_numpy, (self.images, self.labels, self.others, self.p))
        found = self.adjuster(p, self.nets, (images, labels), others, Step(number, 100))
        for name, value in found.news.items():
            assert name.startswith("adjust.")
            self.adjuster.get_buffer(name.removeprefix("adjust.")).copy_(value)
        return found

    def features(self, images: Floats) -> Floats:
        return np.asarray(images @ self.nets.teacher.get_parameter("map").detach().numpy().T)


@pytest.mark.parametrize("align", ["labeled", "uniform"])
@pytest.mark.parametrize(("decay", "warmup"), [(0.999, True), (0.6, True), (0.9, False)])
def test_alignment_over_thirty_steps(align: Align, decay: float, warmup: bool) -> None:
    scene = Scene(Targets(align=align), decay=decay, warmup=warmup)
    mean, share = [1 / CLASSES] * CLASSES, [1 / CLASSES] * CLASSES
    for number in range(30):
        found = scene.step(number, classes=3)
        keep = min(decay, (number + 1) / (number + 2)) if warmup else decay
        for c in range(CLASSES):
            mean[c] = keep * mean[c] + (1 - keep) * sum(row[c] for row in scene.p) / len(scene.p)
            now = sum(label == c for label in scene.labels) / len(scene.labels)
            share[c] = keep * share[c] + (1 - keep) * now
        wanted = share if align == "labeled" else [1 / CLASSES] * CLASSES
        for row, got in zip(scene.p, found.probabilities, strict=True):
            ratio = [row[c] * wanted[c] / mean[c] for c in range(CLASSES)]
            np.testing.assert_allclose(got, [value / sum(ratio) for value in ratio], rtol=1e-10)
        np.testing.assert_allclose(found.smoothed, scene.p, rtol=0)


def test_aligned_predictions_are_on_average_as_wanted() -> None:
    """What the formula is for, in the first step, whose average is that of the batch and a uniform one."""
    scene = Scene(Targets(align="uniform"), decay=0.0)
    found = scene.step(0, unlabeled=2000)
    before, after = scene.p.mean(axis=0), found.probabilities.numpy().mean(axis=0)
    assert np.ptp(before) > 0.2 and np.ptp(after) < np.ptp(before) / 3


def unit(vector: Floats) -> Floats:
    return np.asarray(vector / np.sqrt((vector**2).sum()))


@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_smoothing_by_prototypes_over_thirty_steps(weight: float) -> None:
    """The fifth class has no labeled image, the fourth none in the first ten steps."""
    scene = Scene(Targets(smooth_targets=weight))
    prototypes: dict[int, Floats] = {}
    for number in range(30):
        found = scene.step(number, classes=3 if number < 10 else 4)
        near, asked = scene.features(scene.images), scene.features(scene.others)
        for c in sorted(set(scene.labels.tolist())):
            now = np.mean([f for f, y in zip(near, scene.labels, strict=True) if y == c], axis=0)
            prototypes[c] = 0.99 * prototypes[c] + 0.01 * now if c in prototypes else now
        center = np.mean(list(prototypes.values()), axis=0)
        for p, f, got in zip(scene.p, asked, found.probabilities, strict=True):
            cosines = {c: unit(f - center) @ unit(w - center) for c, w in prototypes.items()}
            total = sum(np.exp(20 * cosine) for cosine in cosines.values())
            mass = sum(p[c] for c in prototypes)
            s = [np.exp(20 * cosines[c]) / total * mass if c in prototypes else p[c] for c in range(CLASSES)]
            np.testing.assert_allclose(got, (1 - weight) * p + weight * np.array(s), rtol=1e-9)
    assert set(prototypes) == {0, 1, 2, 3}


def test_smoothing_comes_before_alignment() -> None:
    smoothed = Scene(Targets(smooth_targets=0.4)).step(0)
    both = Scene(Targets(smooth_targets=0.4, align="uniform")).step(0)
    np.testing.assert_array_equal(both.smoothed, smoothed.probabilities)
    mean = (both.smoothed.mean(dim=0) + 1 / CLASSES) / 2
    ratio = both.smoothed / mean
    np.testing.assert_allclose(both.probabilities, ratio / ratio.sum(dim=1, keepdim=True), rtol=1e-12)


def test_a_plain_adjuster_leaves_predictions_and_remembers_nothing() -> None:
    scene = Scene(Targets())
    found = scene.step(0)
    assert (found.probabilities.numpy() == scene.p).all() and found.news == {}
    assert dict(scene.adjuster.named_buffers()) == {}
    pseudo = hard_pseudo_labels(found.probabilities, None, 0.4)
    assert scene.adjuster.select(pseudo, found) == (pseudo, {})


def test_bfloat16_leaves_the_smoothing_in_full_precision() -> None:
    scene = Scene(Targets(smooth_targets=1.0))
    with torch.autocast("cpu", torch.bfloat16):
        half = scene.step(0).probabilities
    torch.testing.assert_close(
        half, Scene(Targets(smooth_targets=1.0)).step(0).probabilities, rtol=0, atol=0.1
    )
    assert half.dtype == torch.float64


def test_smoothing_wants_a_head_over_features() -> None:
    with pytest.raises(UserError, match="linear head"):
        Adjuster(Targets(smooth_targets=0.5)).extend(nn.Linear(3, CLASSES), Task(CLASSES, 4, (3, 1, 1)))


def doubt_of(confidence: float) -> float:
    """1 less a confidence, cut behind 7 binary digits."""
    doubt = float(np.float16(np.float32(1) - np.float32(confidence)))
    digits = 2.0 ** (math.floor(math.log2(doubt)) - 6) if doubt else 1.0
    return math.floor(doubt / digits) * digits


@pytest.mark.parametrize("unlabeled", [UNLABELED, 400])
@pytest.mark.parametrize("threshold", [0.0, 0.6, 0.9])
def test_a_quota_over_sixty_steps(unlabeled: int, threshold: float) -> None:
    """As a dictionary and sorting would choose; images occur twice, classes are uneven, some get none."""
    draw = np.random.default_rng(1)
    quota = ClassQuota(unlabeled, CLASSES)
    memory: dict[int, tuple[int, float, bool]] = {}
    chosen = []
    for _ in range(60):
        slots = draw.integers(unlabeled, size=9)
        labels = draw.choice(CLASSES, 9, p=[0.6, 0.2, 0.15, 0.05, 0.0])
        confidence = draw.choice(np.linspace(0.2, 1, 9), 9).astype(np.float32)  # with ties
        passed = (confidence >= threshold).astype(np.float32)
        arrays = map(torch.from_numpy, (slots, labels, confidence, passed))
        mask, news = quota(PseudoLabels(*arrays))
        quota.enter_news(news)
        for slot, label, sure, ok in zip(slots, labels, confidence, passed, strict=True):
            memory[int(slot)] = (int(label), float(sure), bool(ok))
        each = -(-sum(ok for _, _, ok in memory.values()) // CLASSES)
        best: set[int] = set()
        for c in range(CLASSES):
            own = [(doubt_of(sure), slot) for slot, (label, sure, _) in memory.items() if label == c]
            for doubt, slot in own:
                above, equal = sum(other < doubt for other, _ in own), sum(other == doubt for other, _ in own)
                if above + equal * (slot * GOLDEN % 2**32) / 2**32 < each:
                    best.add(slot)
        wanted = [s in best and memory[int(s)][0] == y for s, y in zip(slots.tolist(), labels, strict=True)]
        assert mask.tolist() == [float(value) for value in wanted]
        chosen += wanted
    assert 0.05 < np.mean(chosen) < 0.9


def test_a_quota_gives_each_class_as_many() -> None:
    """Half of all pass, nearly all of one class; as many are taken, half of them of the other."""
    labels = torch.tensor([0] * 80 + [1] * 20)
    confidence = torch.cat((torch.linspace(0.9, 1.0, 80), torch.linspace(0.5, 0.8, 20)))
    mask = torch.zeros(100).index_fill(0, torch.arange(40, 80), 1.0)
    found, _ = ClassQuota(100, 2)(PseudoLabels(torch.arange(100), labels, confidence, mask))
    assert found[60:80].all() and found[80:].all() and found.sum() == 40


def test_a_quota_asks_for_positions() -> None:
    with pytest.raises(UserError, match="positions in the unlabeled part, got None"):
        ClassQuota(4, 2)(hard_pseudo_labels(torch.rand(3, 2), None))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"align": "even"}, "align must be"), ({"smooth_targets": 1.5}, "smooth_targets must lie in")],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Targets(**options)


def test_adaptive_thresholds_are_those_of_adsh() -> None:
    """Guo and Li, Algorithm 1, class by class: of each the share that passes in the head class."""
    generator = np.random.default_rng(3)
    labels, confidence = generator.integers(3, size=60), generator.permutation(np.linspace(0.01, 0.99, 60))
    passed = confidence >= 0.6
    rho = passed[labels == 1].mean()
    expected = np.zeros(60)
    for label in range(3):
        own = np.flatnonzero(labels == label)
        best = own[np.argsort(-confidence[own])]
        expected[best[: int(rho * len(own) + 1e-9)]] = 1
    pseudo = PseudoLabels(torch.arange(60), *map(torch.tensor, (labels, confidence, passed.astype(float))))
    quota = ClassQuota(60, 3, head=1)
    found, _ = quota(pseudo)
    assert found.tolist() == expected.tolist() and 0 < found.sum() < 60
    assert found[labels == 1].tolist() == passed[labels == 1].tolist()
    without = pseudo._replace(labels=torch.tensor(labels).clamp(min=2))
    assert quota(without)[0].tolist() == passed.tolist()  # nothing is known of the head class


def test_the_head_class_is_that_with_the_most_labels() -> None:
    adjust = Adjuster(Targets(adaptive_thresholds=True))
    adjust.extend(torch.nn.Identity(), Task(3, 10, (1, 8, 8), class_shares=(0.2, 0.5, 0.3)))
    assert adjust.quota.head == 1
    with pytest.raises(UserError, match="leave out one of them"):
        Targets(adaptive_thresholds=True, balance_classes=True)
