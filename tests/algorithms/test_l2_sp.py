"""L2-SP pulls towards the weights that training began with."""

import pytest
import torch
from transfer_nets import WIDTH
from transfer_scene import EXACT, Scene


def test_l2_sp_pulls_towards_the_weights_that_extend_was_given_and_leaves_running_statistics_alone() -> None:
    scene = Scene("l2-sp", body_weight=1.0, head_weight=0.0)
    scene.student.load_state_dict({n: torch.from_numpy(v) for n, v in scene.start.items()}, strict=False)
    at_start = scene.run()
    plain = at_start.metrics["loss/labeled"].item()
    assert at_start.loss.item() == pytest.approx(plain, rel=1e-14)
    scene.student.norm.running_mean += 5.0
    assert scene.run().loss.item() == pytest.approx(plain, rel=1e-14)
    scene.student.norm.weight.data += 2.0  # batch-norm scales are pulled too
    output = scene.run()
    assert (output.loss - output.metrics["loss/labeled"]).item() == pytest.approx(0.5 * 4 * WIDTH, rel=EXACT)


def test_l2_sp_remembers_the_start_through_its_state() -> None:
    scene = Scene("l2-sp", body_weight=1.0)
    fresh = Scene("l2-sp", seed=5, body_weight=1.0)
    fresh.algorithm.load_state_dict(scene.algorithm.state_dict())
    fresh.student.load_state_dict(scene.student.state_dict())
    fresh.views, fresh.labels = scene.views, scene.labels
    assert fresh.run().loss.item() == pytest.approx(scene.run().loss.item(), rel=1e-14)
