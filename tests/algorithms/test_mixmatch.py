"""MixMatch and ReMixMatch against float64 NumPy: what was mixed is read back from the images."""

from typing import Any

import numpy as np
import pytest
from mixed_scene import PARTS, Mixed, mixing_state, mixing_terms
from scipy import integrate, stats
from ssl_scene import CLASSES, PROGRESS, SLOPE, Scene

MIXING = [
    ("mixmatch", {}),
    ("mixmatch", {"temperature": 0.9, "unlabeled_weight": 7.0, "ramp": 0.0}),
    ("mixmatch", {"lam_per": "batch", "interleave": False}),
    ("mixmatch", {"interleave": False}),
    ("remixmatch", {}),
    ("remixmatch", {"lam_per": "batch", "interleave": False, "temperature": 0.8}),
    ("remixmatch", {"unlabeled_weight": 0.3, "unmixed_weight": 2.0, "rotation_weight": 0.2, "ramp": 0.6}),
    ("remixmatch", {"average_decay": 0.5, "interleave": False}),
]
mixing_case = pytest.mark.parametrize(("name", "options"), MIXING, ids=str)


@mixing_case
@pytest.mark.parametrize("sizes", [(5, 5), (1, 1), (3, 6), (4, 4)])
@pytest.mark.parametrize("number", PROGRESS)
def test_mixing_algorithms(name: str, options: dict[Any, Any], sizes: tuple[int, int], number: int) -> None:
    scene = Scene(name, sizes, seed=number, **options)
    if name == "remixmatch":
        scene.algorithm.commit(scene.run(number).carry)
        scene.refresh()
    output = scene.run(number)
    total, terms = mixing_terms(scene)
    assert output.loss.item() == pytest.approx(total, rel=1e-6, abs=1e-7)
    got = {key: value.item() for key, value in output.metrics.items() if key.startswith("loss/")}
    assert got == pytest.approx(terms, rel=1e-6, abs=1e-7)


@mixing_case
def test_gradient_of_mixing_algorithms(name: str, options: dict[str, Any]) -> None:
    scene = Scene(name, (4, 4), **options)
    scene.run().loss.backward()
    gradient = scene.student.head.weight.grad.numpy()
    for _ in range(4):
        along = scene.draw.standard_normal(gradient.shape)
        above, below = (mixing_terms(scene, scene.student.weights + s * SLOPE * along)[0] for s in (1, -1))
        assert (gradient * along).sum() == pytest.approx((above - below) / (2 * SLOPE), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", PARTS)
def test_shares_keep_the_base_and_are_one_per_sample_or_one_per_batch(name: str) -> None:
    for per, many in (("sample", True), ("batch", False)):
        scene = Scene(name, (5, 5), lam_per=per)
        scene.run()
        lams = [lam for base, partner, lam in Mixed(scene).rows() if partner != base]
        assert min(lams) >= 0.5
        assert (np.ptp(lams) > 1e-3) == many
        # One permutation of all: every image is the partner of one base.
        partners = [partner for _, partner, _ in Mixed(scene).rows()]
        assert sorted(partners) == list(range(len(partners))) or per == "sample"


@pytest.mark.parametrize(("name", "alpha"), [("mixmatch", 0.5), ("remixmatch", 0.75), ("mixmatch", 8.0)])
def test_shares_are_beta(name: str, alpha: float) -> None:
    """E max(lam, 1 - lam) of a Beta(alpha, alpha), by numerical integration."""
    expected = 2 * integrate.quad(lambda v: v * stats.beta.pdf(v, alpha, alpha), 0.5, 1)[0]
    lams = []
    for seed in range(60):
        scene = Scene(name, (4, 4), seed=seed, **({} if alpha < 1 else {"alpha": alpha}))
        scene.run(seed=seed)
        lams += [lam for base, partner, lam in Mixed(scene).rows() if partner != base]
    error = np.std(lams) / len(lams) ** 0.5
    assert abs(np.mean(lams) - expected) < 4 * error


@pytest.mark.parametrize("name", PARTS)
def test_interleaving_puts_every_part_into_the_first_pass(name: str) -> None:
    """And a slice of the labeled part into every other; without it each pass shows one part."""
    for interleave in (True, False):
        scene = Scene(name, (8, 8), interleave=interleave)
        scene.run()
        mixed = Mixed(scene)
        ends = np.cumsum(mixed.sizes)
        per_pass = [
            {int(np.searchsorted(ends, row.argmax(), "right")) for row in shares} for shares in mixed.passes
        ]
        parts = range(len(mixed.parts))
        mingled = [set(parts), *({0, k} for k in parts[1:])]
        assert per_pass == (mingled if interleave else [{k} for k in parts])


def test_remixmatch_state_over_twenty_steps() -> None:
    scene = Scene("remixmatch", average_decay=0.9)
    np.testing.assert_allclose(scene.algorithm.adjust.mean_prediction, np.full(CLASSES, 1 / CLASSES))
    np.testing.assert_allclose(scene.algorithm.adjust.class_share, np.full(CLASSES, 1 / CLASSES))
    for number in range(20):
        output = scene.run(number)
        assert all((scene.state[k] == v.numpy()).all() for k, v in scene.algorithm.named_buffers())
        scene.algorithm.commit(output.carry)
        for key, value in mixing_state(scene).items():
            np.testing.assert_allclose(getattr(scene.algorithm.adjust, key), value, rtol=1e-6, err_msg=key)
        assert output.loss.item() == pytest.approx(mixing_terms(scene)[0], rel=1e-6)
        scene.refresh()


def test_rotations_are_drawn_for_each_picture() -> None:
    scene = Scene("remixmatch", (9, 9))
    turns = []
    for seed in range(20):
        scene.run(seed=seed)
        turns += list(Mixed(scene).turns)
    counts = np.bincount(turns, minlength=4)
    assert np.abs(counts - 45).max() < 4 * (180 * 3 / 16) ** 0.5
