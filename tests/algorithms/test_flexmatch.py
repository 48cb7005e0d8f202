"""FlexMatch's memory of what each image was taken for."""

import numpy as np
import ssl_reference as reference
import torch
from ssl_scene import CLASSES, UNLABELED, Scene


def test_flexmatch_counts_as_a_dictionary_does_after_a_thousand_commits() -> None:
    """Duplicates within a batch are of the same image, so that any order of writing is right."""
    scene = Scene("flexmatch", (2, 12), scale=5.0)
    known = dict.fromkeys(range(UNLABELED), -1)
    for number in range(1000):
        scene.refresh()
        half = scene.draw.integers(UNLABELED, size=6)
        scene.indices = np.concatenate([half, half])
        for view in ("weak", "strong"):
            scene.views[view][6:] = scene.views[view][:6]
        # Two positions of one image among the six must also agree.
        first = {int(i): position for position, i in reversed(list(enumerate(half)))}
        for position, i in enumerate(scene.indices):
            scene.views["weak"][position] = scene.views["weak"][first[int(i)]]
        state = {"learned.label": np.array(list(known.values()))}
        with torch.no_grad():
            output = scene.run(number, 1000)
        scene.algorithm.commit(output.carry)
        p = reference.softmax(scene.logits()["weak"])
        if number % 50 == 0 or number == 999:
            keep = reference.flexmatch(scene.logits(), scene.logits(), scene.labels, 0.0, state)[2]
            assert (output.pseudo.mask.numpy() == keep).all()
        known |= {
            int(i): int(row.argmax()) for i, row in zip(scene.indices, p, strict=True) if row.max() >= 0.95
        }
    assert scene.algorithm.learned.label.tolist() == list(known.values())
    assert len(set(known.values())) == CLASSES and -1 not in known.values()


def test_flexmatch_lets_every_guess_pass_until_one_is_confident() -> None:
    scene = Scene("flexmatch", scale=0.1)
    assert scene.run().pseudo.mask.all()
    scene.algorithm.commit(scene.output.carry)
    assert (scene.algorithm.learned.label == -1).all()
    assert scene.run().pseudo.mask.all()
