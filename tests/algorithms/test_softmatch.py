"""SoftMatch with one image, and aligned guesses, of SoftMatch and ReMixMatch."""

import numpy as np
import pytest
import ssl_reference as reference
import torch
from ssl_scene import CLASSES, Scene

from ssl_mix.targets import align


def test_softmatch_weighs_a_single_unlabeled_picture_without_nan() -> None:
    scene = Scene("softmatch", (3, 1))
    scene.run().loss.backward()
    assert scene.output.loss.isfinite() and scene.output.pseudo.mask.isfinite().all()
    scene.algorithm.commit(scene.output.carry)
    assert all(value.isfinite().all() for value in scene.algorithm.buffers())


@pytest.mark.parametrize("name", ["softmatch", "remixmatch"])
def test_aligned_guesses_sum_to_one(name: str) -> None:
    draw = np.random.default_rng(0)
    p, mean, wanted = (
        draw.dirichlet(np.ones(CLASSES), 9),
        draw.dirichlet(np.ones(CLASSES)),
        draw.dirichlet(np.ones(CLASSES)),
    )
    goal = 1 / CLASSES if name == "softmatch" else wanted
    result = align(*(torch.as_tensor(a, dtype=torch.float64) for a in (p, mean, goal)))
    np.testing.assert_allclose(result.sum(dim=1), 1, rtol=1e-12)
    np.testing.assert_allclose(result, reference.aligned(p, mean, goal), rtol=1e-9)
