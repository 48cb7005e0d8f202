"""The feedback of Meta Pseudo Labels."""

import torch
from ssl_scene import Scene, flat


def test_the_feedback_is_positive_where_the_student_learns_what_the_labels_say() -> None:
    """A step on a labeled image with its own label lowers the loss on it."""
    scene = Scene("meta-pseudo-labels", (5, 30), threshold=0.5, lookahead=0.7)
    scene.views = dict.fromkeys(scene.views, scene.views["x"][:1])
    scene.labels, scene.indices = scene.labels[:1], scene.indices[:1]
    with torch.no_grad():
        scene.algorithm.tutor.head.weight.zero_()
        scene.algorithm.tutor.head.weight[scene.labels[0]] = 0.05 * torch.from_numpy(
            flat(scene.views["x"])[0]
        )
    assert scene.run().metrics["loss/feedback"] > 0
