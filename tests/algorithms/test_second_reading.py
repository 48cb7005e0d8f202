"""FineSSL, DST, DebiasMatch, IOMatch and OpenMatch once more, whole batches in float64 NumPy, from the papers
and the authors' codes, by a reader who had not seen how they are written here."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from match_scene import CLASSES, Scene
from second_reading import Floats, Ints, assert_found, cost, layers, softmax

from ssl_mix.types import Batch, Nets, Samples, Step


def test_finessl() -> None:
    scene, last = Scene("finessl", threshold=0.5, unlabeled=8), np.full(12, -1)
    for number in range(4):
        scene.run(number)
        x, weak, *strong = scene.features("x weak", "u weak", "u strong", "u strong2")
        own, second = scene.weights, scene.algorithm.auxiliary.weight.detach().numpy()
        counts = np.array([(last == c).sum() for c in range(CLASSES)])
        beta = counts / max(1, counts.max())
        margin = 8 * (beta.max() - beta.min()) * (1 - beta) / (1 + beta)

        def balanced(f: Floats, c: Ints, own: Floats = own, margin: Floats = margin) -> Floats:
            return cost(f @ own.T + margin[c][:, None] * (1 - np.eye(CLASSES)[c]), c)

        p, sure = softmax(weak @ own.T), softmax(weak @ second.T).max(axis=1)
        c, mask = p.argmax(axis=1), p.max(axis=1) >= 0.5
        smooth = np.where(np.eye(CLASSES)[c] == 1, 0.5, 0.5 / (CLASSES - 1))
        terms = {
            "labeled": (1.0, balanced(x, scene.labels).mean()),
            "labeled_auxiliary": (1.0, cost(x @ second.T, scene.labels).mean()),
            "unlabeled": (3.0, np.mean([sure * balanced(f, c) for f in strong])),
            "auxiliary": (1.0, np.mean([mask * cost(f @ second.T, smooth) for f in strong])),
        }
        assert_found(scene.output, terms)
        for slot, label, counted in zip(scene.indices, c, mask, strict=True):
            last[slot] = label if counted else last[slot]
        scene.commit()
    assert margin.max() > 0.5


def test_debiasmatch() -> None:
    scene, mean = Scene("debiasmatch", threshold=0.4, unlabeled=8), np.array([0.55, 0.25, 0.15, 0.05])
    scene.algorithm.class_mean.copy_(torch.from_numpy(mean))
    for number in range(3):
        scene.run(number)
        x, other, weak, strong = (
            f @ scene.weights.T for f in scene.features("x weak", "x strong", "u weak", "u strong")
        )
        mean = 0.999 * mean + 0.001 * softmax(weak).mean(axis=0)
        q = softmax(weak - np.log(mean))
        unlabeled = (q.max(axis=1) >= 0.4) * cost(strong + np.log(mean), q.argmax(axis=1))
        assert_found(
            scene.output,
            {
                "labeled": (1.0, cost(x, scene.labels).mean()),
                "labeled_strong": (0.1, cost(other, scene.labels).mean()),
                "unlabeled": (1.0, unlabeled.mean()),
            },
        )
        scene.commit()


@pytest.mark.parametrize("number", [0, 1, 50])
def test_dst(number: int) -> None:
    scene = Scene("dst", threshold=0.6, unlabeled=8, width=16)
    scene.run(number)
    x, other, weak, strong = scene.features("x weak", "x strong", "u weak", "u strong")
    own, pseudo, worst = scene.weights, scene.algorithm.pseudo_head, scene.algorithm.worst_head
    q = softmax(weak @ own.T)
    c = q.argmax(axis=1)
    against = 1 - softmax(layers(worst, weak))[np.arange(8), c]
    estimate = 2 * cost(layers(worst, x), (x @ own.T).argmax(axis=1)).mean() - np.log(against).mean()
    taught = (q.max(axis=1) >= 0.6) * cost(layers(pseudo, strong), c)
    assert_found(
        scene.output,
        {
            "labeled": (1.0, cost(x @ own.T, scene.labels).mean()),
            "labeled_strong": (0.1, cost(other @ own.T, scene.labels).mean()),
            "unlabeled": (1.0, taught.mean()),
            "worst": (1.0, estimate),
        },
    )


@pytest.mark.parametrize("number", [1, 99])
def test_dst_turns_the_gradient_of_the_worst_head_around(number: int) -> None:
    """To the images; gradients by PyTorch, of the losses that the paper parts."""
    scene = Scene("dst", threshold=0.0, width=16)
    views = {name: torch.from_numpy(view).requires_grad_() for name, view in scene.views.items()}
    x, other, weak, strong = (views[name] for name in ("x weak", "x strong", "u weak", "u strong"))
    labels = torch.from_numpy(scene.labels)
    batch = Batch(
        Samples({"weak": x, "strong": other}, None, labels),
        Samples({"weak": weak, "strong": strong}, torch.from_numpy(scene.indices), None),
    )
    loss = scene.algorithm(Nets(scene.student, scene.student), batch, Step(number, 100)).loss
    found = torch.autograd.grad(loss, [x, weak, strong])
    parts = [len(part) for part in (x, other, weak, strong)]
    together = scene.student.features(torch.cat((x, other, weak, strong)))
    fx, fo, fw, fs = torch.split(together, parts)
    head, algorithm = scene.student.head, scene.algorithm
    classes = head(fw).argmax(dim=1)
    main = F.cross_entropy(head(fx), labels) + 0.1 * F.cross_entropy(head(fo), labels)
    main = main + F.cross_entropy(algorithm.pseudo_head(fs), classes)
    away = (1 - algorithm.worst_head(fw).softmax(dim=1)).log()
    worst = 2 * F.cross_entropy(algorithm.worst_head(fx), head(fx).argmax(dim=1)) + F.nll_loss(away, classes)
    turned = 0.1 * (2 / (1 + math.exp(-number / 100 / 0.02)) - 1)
    for got, expected in zip(
        found, torch.autograd.grad(main - turned * worst, [x, weak, strong]), strict=True
    ):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-8)


def inliers(z: Floats) -> Floats:
    """By C classifiers of two logits each, those of outliers first: probabilities (N, C) of an inlier."""
    return softmax(z.reshape(len(z), 2, -1), axis=1)[:, 1]


def one_vs_all(r: Floats, labels: Ints) -> float:
    own = np.eye(r.shape[1])[labels] == 1
    return float(-np.log(r[own]).mean() - np.where(own, 0, np.log(1 - r)).min(axis=1).mean())


def test_iomatch() -> None:
    scene = Scene("iomatch", threshold=0.6, open_threshold=0.3, unlabeled=8, width=16)
    average, heads = np.full(CLASSES, 1 / CLASSES), scene.student.open_heads
    for number in (0, 1, 2, 30):
        scene.run(number)
        x, weak, strong = scene.features("x weak", "u weak", "u strong")
        of_x, of_weak, of_strong = (layers(heads.projector, f) for f in (x, weak, strong))
        binary, wide = heads.one_vs_all.weight.detach().numpy(), heads.classifier
        p = softmax(weak @ scene.weights.T)
        keep = min(0.999, (number + 1) / (number + 2))
        average = keep * average + (1 - keep) * p.mean(axis=0)
        p = p / average
        p = p / p.sum(axis=1, keepdims=True)
        r = inliers(of_weak @ binary.T)
        q = np.concatenate((p * r, (p * (1 - r)).sum(axis=1, keepdims=True)), axis=1)
        known = (q[:, -1] < 0.5) * (p.max(axis=1) >= 0.6)
        every = of_strong @ wide.weight.detach().numpy().T + wide.bias.detach().numpy()
        terms = {
            "labeled": (1.0, cost(x @ scene.weights.T, scene.labels).mean()),
            "one_vs_all": (1.0, one_vs_all(inliers(of_x @ binary.T), scene.labels)),
            "unlabeled": (1.0, (known * cost(strong @ scene.weights.T, p)).mean()),
            "open": (float(number > 0), ((q.max(axis=1) >= 0.3) * cost(every, q)).mean()),
        }
        assert_found(scene.output, terms)
        scene.commit()


def test_openmatch() -> None:
    scene = Scene("openmatch", unlabeled=8)
    head = scene.student.ova_head
    for number in (0, 1, 2, 30):
        scene.run(number)
        x, weak, weak2, strong = scene.features("x weak", "u weak", "u weak2", "u strong")
        r_x, r, r2 = (
            inliers(f @ head.weight.detach().numpy().T + head.bias.detach().numpy()) for f in (x, weak, weak2)
        )
        c = (weak @ scene.weights.T).argmax(axis=1)
        inside = r[np.arange(8), c] > 0.5
        entropy = np.mean([-(o * np.log(o) + (1 - o) * np.log(1 - o)) for o in (r, r2)])
        terms = {
            "labeled": (1.0, cost(x @ scene.weights.T, scene.labels).mean()),
            "one_vs_all": (1.0, one_vs_all(r_x, scene.labels)),
            "entropy": (0.1, float(entropy)),
            "consistency": (0.5, 2 * ((r - r2) ** 2).sum(axis=1).mean()),
            "unlabeled": (float(number > 1), (inside * cost(strong @ scene.weights.T, c)).mean()),
        }
        assert_found(scene.output, terms)
        scene.commit()
