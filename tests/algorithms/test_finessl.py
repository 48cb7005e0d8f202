"""FineSSL against its formulas, row by row, over three steps, and what its auxiliary head is kept from."""

import numpy as np
import pytest
import torch
from match_scene import CLASSES, UNLABELED, Floats, Row, Scene, entropy, hot, shares


def test_three_steps() -> None:
    scene = Scene("finessl", threshold=0.6, margin=2.0, smoothing=0.3, unlabeled_weight=0.7)
    classes, margins = dict.fromkeys(range(UNLABELED), -1), []
    for number in range(4):
        output = scene.run(number)
        x, weak, *strong = scene.features("x weak", "u weak", "u strong", "u strong2")
        counts = [sum(c == label for c in classes.values()) for label in range(CLASSES)]
        beta = [count / max(1, max(counts)) for count in counts]
        margins.append([2 * (max(beta) - min(beta)) * (1 - b) / (1 + b) for b in beta])
        offsets = [-d * hot(c) for c, d in enumerate(margins[-1])]

        auxiliary = scene.algorithm.auxiliary.weight.detach().numpy()
        p, h = scene.answers(weak), [shares(auxiliary @ f) for f in weak]
        guesses, sure = [int(np.argmax(row)) for row in p], [float(max(row) >= 0.6) for row in p]
        np.testing.assert_allclose(output.pseudo.mask, [max(row) for row in h], rtol=1e-8)
        unlabeled = [
            Row(max(row) / 10, hot(y), f, offsets[y])
            for view in strong
            for row, y, f in zip(h, guesses, view, strict=True)
        ]
        labeled = [Row(1 / 3, hot(y), f, offsets[y]) for y, f in zip(scene.labels, x, strict=True)]
        asked = np.mean(
            [entropy(hot(y), shares(auxiliary @ f)) for y, f in zip(scene.labels, x, strict=True)]
        )
        soft = [0.7 * hot(y) + 0.1 * (1 - hot(y)) for y in guesses]
        taught = np.mean(
            [
                m * entropy(t, shares(auxiliary @ f))
                for view in strong
                for m, t, f in zip(sure, soft, view, strict=True)
            ]
        )
        found = [output.metrics[f"loss/{name}"].item() for name in ("labeled_auxiliary", "auxiliary")]
        assert found == pytest.approx([asked, taught], rel=1e-6)
        scene.output = output._replace(loss=output.loss - asked - taught)
        scene.assert_rows({"labeled": (1.0, labeled), "unlabeled": (0.7, unlabeled)})
        for slot, y, m in zip(scene.indices.tolist(), guesses, sure, strict=True):
            classes[slot] = y if m else classes[slot]
        scene.output = output
        scene.commit()
        assert scene.algorithm.learned.label.tolist() == list(classes.values())
    assert max(margins[0]) == 0 < max(margins[-1])


def test_the_auxiliary_head_moves_no_features() -> None:
    scene, slopes = Scene("finessl"), []
    inner: list[Floats] = []
    for weight in (0.0, 3.0):
        scene.algorithm.auxiliary_weight = weight
        scene.run()
        slopes.append(scene.student.head.weight.grad.clone())
        inner.append(scene.algorithm.auxiliary.weight.grad.clone().numpy())
    assert torch.equal(*slopes) and not np.any(inner[0]) and np.any(inner[1])


def test_it_begins_as_a_copy_of_the_classifier() -> None:
    scene = Scene("finessl")
    assert torch.equal(scene.algorithm.auxiliary.weight, scene.student.head.weight)
