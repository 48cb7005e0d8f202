"""The fairness term of FreeMatch where classes or guesses are missing."""

import pytest
from ssl_scene import SHAPE, Scene, assert_values, of_every_row


@pytest.mark.parametrize("absent", [{4}, {0, 2}])
def test_freematch_fairness_leaves_out_classes_that_no_strong_view_is_guessed_to_be(absent: set[int]) -> None:
    scene = Scene("freematch", fairness_weight=1.0, average_decay=0.5)
    for c in absent:
        scores = scene.logits()["strong"]
        direction = scene.student.weights[c].reshape(SHAPE)
        scene.views["strong"] -= (scores.max() + 9) * direction / (direction**2).sum()
    assert absent.isdisjoint(of_every_row(scene.logits()["strong"]))
    scene.run()
    assert_values(scene)


def test_freematch_without_any_kept_guess_has_no_fairness_term() -> None:
    scene = Scene("freematch", scale=0.1, lowest_threshold=1.0, fairness_weight=1.0)
    scene.run().loss.backward()
    assert not scene.output.pseudo.mask.any()
    assert scene.output.metrics["loss/fairness"].item() == 0
    assert scene.student.head.weight.grad.isfinite().all()
    assert_values(scene)
