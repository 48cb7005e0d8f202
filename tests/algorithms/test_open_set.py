"""OpenMatch, IOMatch and the guard by energy, against their formulas one image at a time."""

from typing import Any

import numpy as np
import pytest
import torch
from algorithm_scene import CLASSES, make, networks, random_batch, step
from torch import Tensor, nn

from ssl_mix import Batch, Samples, Task, UserError
from ssl_mix.algorithms import FixMatch, IOMatch, OpenMatch, Supervised
from ssl_mix.engine.guard import without_rejected
from ssl_mix.models import SmallCNN
from ssl_mix.recipes.build import build_run
from ssl_mix.runs.prepared import prepare
from ssl_mix.targets import PLAIN
from ssl_mix.transfer.head_net import HeadNet, OnBody


def softmax(scores: Any) -> Any:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def cross_entropy(scores: Any, target: Any) -> float:
    return float(-(target * np.log(softmax(scores))).sum())


def binary(pairs: Any) -> Any:
    """Of (2 C,) logits the probabilities of "another" and "this one", (2, C)."""
    return np.stack([softmax(pairs.reshape(2, -1)[:, c]) for c in range(pairs.size // 2)], axis=1)


def ova(pairs: Any, label: int) -> float:
    found = binary(pairs)
    others = [c for c in range(found.shape[1]) if c != label]
    return float(-np.log(found[1, label]) - min(np.log(found[0, c]) for c in others))


def answers(net: nn.Module, views: list[Tensor], head: str) -> list[list[Any]]:
    """By view what the classifier and an added layer say, in one pass, float64."""
    module: Any = net
    with torch.no_grad():
        features = module.features(torch.cat(views))
        added = module.get_submodule(head)(features)
        found = [module.head(features), *(added if isinstance(added, tuple) else [added])]
    sizes = [len(view) for view in views]
    return [[part.double().numpy() for part in whole.split(sizes)] for whole in found]


def one_hot(label: int) -> Any:
    return np.eye(CLASSES)[label]


def test_openmatch_is_its_formula() -> None:
    algorithm = OpenMatch(threshold=0.4, warmup=0.5)
    nets, batch = networks(algorithm), random_batch(algorithm)
    assert batch.unlabeled is not None and batch.labeled.target is not None
    views = [batch.labeled.views["weak"], *(batch.unlabeled.views[n] for n in ("weak", "weak2", "strong"))]
    labels = batch.labeled.target.tolist()
    output = algorithm(nets, batch, step())
    logits, pairs = answers(nets.student, views, "ova_head")
    expected = {
        "labeled": np.mean([cross_entropy(z, one_hot(y)) for z, y in zip(logits[0], labels, strict=True)]),
        "one_vs_all": np.mean([ova(s, y) for s, y in zip(pairs[0], labels, strict=True)]),
    }
    both = [binary(s) for s in (*pairs[1], *pairs[2])]
    expected["entropy"] = np.mean([-(r * np.log(r)).sum(axis=0).mean() for r in both])
    changes = [((binary(s) - binary(t)) ** 2).sum() for s, t in zip(pairs[1], pairs[2], strict=True)]
    expected["consistency"] = np.mean(changes)
    fix = []
    for weak, strong, own in zip(logits[1], logits[3], pairs[1], strict=True):
        p = softmax(weak)
        label = int(p.argmax())
        counts = p.max() >= 0.4 and binary(own)[1, label] > 0.5
        fix.append(cross_entropy(strong, one_hot(label)) * counts)
    expected["unlabeled"] = np.mean(fix)
    for name, value in expected.items():
        assert value > 0 and output.metrics[f"loss/{name}"].item() == pytest.approx(value, rel=1e-4), name
    weights = {"entropy": 0.1, "consistency": 0.5}
    total = sum(weights.get(name, 1.0) * value for name, value in expected.items())
    assert output.loss.item() == pytest.approx(total, rel=1e-4)
    early = algorithm(nets, batch, step(5))
    assert early.loss.item() == pytest.approx(total - expected["unlabeled"], rel=1e-4)


def test_iomatch_is_its_formula() -> None:
    algorithm = IOMatch(threshold=0.4, open_threshold=0.3, width=8, targets=PLAIN, warmup=0.5)
    nets, batch = networks(algorithm), random_batch(algorithm)
    assert batch.unlabeled is not None and batch.labeled.target is not None
    views = [batch.labeled.views["weak"], batch.unlabeled.views["weak"], batch.unlabeled.views["strong"]]
    labels = batch.labeled.target.tolist()
    output = algorithm(nets, batch, step())
    logits, pairs, of_all = answers(nets.student, views, "open_heads")
    expected = {
        "labeled": np.mean([cross_entropy(z, one_hot(y)) for z, y in zip(logits[0], labels, strict=True)]),
        "one_vs_all": np.mean([ova(s, y) for s, y in zip(pairs[0], labels, strict=True)]),
    }
    inside, opened = [], []
    for weak, own, strong, strong_open in zip(logits[1], pairs[1], logits[2], of_all[2], strict=True):
        p, r = softmax(weak), binary(own)
        q = np.append(p * r[1], (p * r[0]).sum())
        inside.append(cross_entropy(strong, p) * (p.max() >= 0.4 and q[-1] < 0.5))
        opened.append(cross_entropy(strong_open, q) * (q.max() >= 0.3))
    expected |= {"unlabeled": np.mean(inside), "open": np.mean(opened)}
    for name, value in expected.items():
        assert value > 0 and output.metrics[f"loss/{name}"].item() == pytest.approx(value, rel=1e-4), name
    assert output.loss.item() == pytest.approx(sum(expected.values()), rel=1e-4)
    assert algorithm(nets, batch, step(5)).loss.item() == pytest.approx(
        sum(expected.values()) - expected["open"], rel=1e-4
    )
    logits_, score = algorithm.open_set(nets.student, views[1])
    with torch.no_grad():
        chances = [softmax(s) for s in answers(nets.student, [views[1]], "open_heads")[2][0]]
    odds = [np.log((1 - c[-1]) / c[-1]) for c in chances]
    np.testing.assert_allclose(score.detach().numpy(), odds, rtol=1e-3, atol=1e-4)
    assert logits_.shape == (len(score), CLASSES)


@pytest.mark.parametrize("algorithm", [OpenMatch(), IOMatch(width=8)], ids=["openmatch", "iomatch"])
def test_a_head_on_its_body_knows_what_the_head_alone_knows(algorithm: Any) -> None:
    body = SmallCNN(CLASSES, channels=1).eval()
    width = body.head.in_features
    top = algorithm.extend(HeadNet(width, CLASSES), Task(CLASSES, 8, (width, 1, 1)))
    whole = OnBody(body, top, torch.zeros(width))
    images = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    found, expected = algorithm.open_set(whole, images), algorithm.open_set(top, whole.features(images))
    assert all(map(torch.equal, found, expected))


class Sums(nn.Module):
    """One logit, the sum of an image."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).sum(dim=1, keepdim=True)


def test_the_guard_leaves_out_those_of_the_highest_energy() -> None:
    strange = torch.tensor([3.0, -5.0, 1.0, 2.0, -4.0])
    views = {
        name: (strange + shift)[:, None, None, None] for name, shift in (("weak", 0.0), ("strong", 100.0))
    }
    batch = Batch(Samples({}), Samples(views, torch.tensor([10, 11, 12, 13, 14])))
    found = without_rejected(FixMatch(), Sums(), batch, 0.4).unlabeled
    assert found is not None and found.indices is not None
    assert found.indices.tolist() == [10, 12, 12, 13, 10]  # 14 was rejected first in order of the scores
    assert found.views["strong"].flatten().tolist() == [103.0, 101.0, 101.0, 102.0, 103.0]
    assert without_rejected(FixMatch(), Sums(), batch, 0.0) is batch
    last = without_rejected(FixMatch(), Sums(), batch, 0.99).unlabeled
    assert last is not None and last.indices is not None and last.indices.tolist() == [10] * 5


@pytest.mark.parametrize("name", ["fixmatch", "openmatch", "iomatch"])
def test_a_run_with_a_guard_tells_how_well_images_of_no_class_are_known(name: str) -> None:
    options = {"data": "digits", "unknown_classes": 4, "labels_per_class": 4, "net": "small-cnn"}
    options |= {"steps": 2, "batch_size": 4, "reject": 0.25}
    trainer = prepare(build_run(name, options).run).trainer
    [*_, found] = trainer.fit()
    data, looked_at = trainer.data, torch.tensor(trainer.split.unlabeled)[::2]
    assert data.train.foreign is not None and 1000 < len(trainer.split.unlabeled) < 2000
    [images] = data.train.images.batches([looked_at], trainer.device)
    seen = data.of_pixels.normalize(data.of_pixels.plain(images))
    with torch.no_grad():
        score = trainer.algorithm.open_set(trainer.teacher.net.eval(), seen)[1]
    foreign = data.train.foreign[looked_at]
    known, other = score[~foreign], score[foreign]
    pairs = (known[:, None] > other).double() + 0.5 * (known[:, None] == other)
    assert found["rejection_auroc"] == pytest.approx(pairs.mean().item(), abs=1e-3)


def test_a_guard_needs_unlabeled_images_and_leaves_some() -> None:
    with pytest.raises(UserError, match="`reject` leaves unlabeled images out, and Supervised reads none"):
        make(Supervised(), reject=0.1)
    with pytest.raises(UserError, match=r"reject must lie in \[0, 1\), got 1"):
        make(FixMatch(), reject=1.0)
