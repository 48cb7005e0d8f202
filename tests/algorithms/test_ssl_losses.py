"""Losses, masks, gradients and state of the semi-supervised algorithms against float64 NumPy."""

from itertools import product
from typing import Any

import numpy as np
import pytest
import ssl_reference as reference
import torch
from ssl_scene import PROGRESS, SIZES, SLOPE, UNLABELED, Scene, assert_values, with_history

from ssl_mix.targets import PLAIN

SWITCHES: list[tuple[str, list[dict[str, Any]]]] = [
    ("pseudo-label", [{}, {"threshold": 0.6, "unlabeled_weight": 0.3, "ramp": 0.0}, {"threshold": 0.0}]),
    ("pi-model", [{}, {"unlabeled_weight": 3.0, "ramp": 0.7}]),
    ("mean-teacher", [{}, {"unlabeled_weight": 3.0, "ramp": 0.0}]),
    (
        "vat",
        [
            {},
            {"unlabeled_weight": 0.4, "entropy_weight": 0.5, "radius": 0.7, "ramp": 0.0},
            {"power_iterations": 3},
        ],
    ),
    (
        "uda",
        [{}, {"threshold": 0.3, "temperature": 0.9, "unlabeled_weight": 2.0}]
        + [
            {"tsa": t, "tsa_confidence": c, "tsa_mean": m}
            for t, c, m in product(("linear", "log", "exp"), ("true", "max"), ("batch", "kept"))
        ],
    ),
    ("fixmatch", [{}, {"threshold": 0.5, "unlabeled_weight": 2.0}, {"threshold": 0.0}, {"threshold": 1.0}]),
    (
        "flexmatch",
        [
            {"mapping": m, "threshold_warmup": w, "threshold": t}
            for m, w, t in product(("convex", "linear", "concave"), (True, False), (0.95, 0.6))
        ],
    ),
    (
        "freematch",
        [
            {},
            {"average_decay": 0.5, "fairness_weight": 0.2},
            {"average_decay": 0.1, "lowest_threshold": 0.9, "unlabeled_weight": 2.0},
            {"average_decay": 0.1, "highest_threshold": 0.4},
        ],
    ),
    (
        "softmatch",
        [
            {},
            {"average_decay": 0.5, "sigmas": 0.7},
            {"average_decay": 0.2, "targets": PLAIN, "unlabeled_weight": 2.0},
        ],
    ),
]
CASES = [(name, options) for name, many in SWITCHES for options in many]
case = pytest.mark.parametrize(("name", "options"), CASES, ids=str)


@case
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("number", PROGRESS)
def test_loss_terms_and_mask(name: str, options: dict[Any, Any], sizes: tuple[int, int], number: int) -> None:
    for seed in range(2):
        scene = with_history(name, options, sizes, seed)
        scene.run(number)
        assert_values(scene)
        guess = reference.softmax(scene.logits()["target" if name == "mean-teacher" else "weak"])
        if name != "pi-model":
            assert (scene.output.pseudo.labels.numpy() == guess.argmax(axis=1)).all()
        assert (scene.output.pseudo.indices.numpy() == scene.indices).all()


def test_the_cases_have_kept_and_masked_pseudo_labels() -> None:
    """What makes the comparison above worth something."""
    for name in ("pseudo-label", "uda", "fixmatch"):
        shares = [Scene(name, seed=seed).run().pseudo.mask.mean().item() for seed in range(10)]
        assert 0.15 < np.mean(shares) < 0.85, name
    for name, options in (
        ("flexmatch", {"threshold_warmup": False}),
        ("freematch", {"average_decay": 0.5}),
        ("softmatch", {"average_decay": 0.5}),
    ):
        masks = torch.cat([with_history(name, options, seed=s).run().pseudo.mask for s in range(10)])
        assert 0.1 < masks.mean() < 0.97, (name, masks.mean())


@case
@pytest.mark.parametrize("seed", range(3))
def test_gradient_with_targets_held_fixed(name: str, options: dict[Any, Any], seed: int) -> None:
    """Directional derivatives against central differences of the reference: nothing flows through targets,
    masks and state."""
    scene = with_history(name, options, seed=seed)
    scene.run().loss.backward()
    gradient = scene.student.head.weight.grad.numpy()
    assert all(parameter.grad is None for parameter in scene.teacher.parameters())
    for _ in range(4):
        along = scene.draw.standard_normal(gradient.shape)
        above, below = (scene.expected(scene.student.weights + s * SLOPE * along)[0] for s in (1, -1))
        assert (gradient * along).sum() == pytest.approx((above - below) / (2 * SLOPE), rel=1e-5, abs=1e-7)


STATEFUL = [("flexmatch", {"threshold": 0.8}), ("freematch", {"average_decay": 0.9}),
            ("freematch", {"average_decay": 0.7, "lowest_threshold": 0.5, "highest_threshold": 0.6}),
            ("freematch", {}), ("softmatch", {"average_decay": 0.9}), ("softmatch", {}),
            ("softmatch", {"average_decay": 0.9, "targets": PLAIN})]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), STATEFUL, ids=str)
def test_state_over_twenty_steps(name: str, options: dict[str, float]) -> None:
    scene = Scene(name, **options)
    state = None
    for number in range(20):
        output = scene.run(number)
        state = scene.state if state is None else state
        after_forward = {k: v.numpy() for k, v in scene.algorithm.named_buffers()}
        assert all((scene.state[k] == after_forward[k]).all() for k in scene.state), (
            "forward changes no buffer"
        )
        assert_values(scene)
        assert all(not value.requires_grad for value in output.carry.values())
        scene.algorithm.commit(output.carry)
        state = getattr(reference, f"{name}_state")(state, scene.logits(), scene.indices, **options)
        for key, value in scene.algorithm.named_buffers():
            np.testing.assert_allclose(value, state[key], rtol=1e-6, atol=1e-9, err_msg=key)
        scene.refresh()


def learned(classes: np.ndarray) -> dict[str, Any]:
    """FlexMatch's state where images were taken for these classes."""
    return {"learned.label": classes, "learned.counts": np.bincount(classes + 1, minlength=6)}


STATES = {
    "flexmatch": lambda draw: learned(
        draw.choice([-1, 0, 1, 2, 3, 4], UNLABELED, p=[0.25, 0.05, 0.1, 0.15, 0.2, 0.25])
    ),
    "freematch": lambda draw: {
        "global_threshold": draw.uniform(0.5, 1),
        "class_mean": draw.dirichlet(np.full(5, 9.0)),
        "class_histogram": draw.dirichlet(np.full(5, 9.0)),
    },
    "softmatch": lambda draw: {
        "confidence_mean": draw.uniform(0.6, 1),
        "confidence_variance": draw.uniform(0.01, 0.1),
        "adjust.mean_prediction": draw.dirichlet(np.full(5, 9.0)),
    },
}


@pytest.mark.parametrize(("name", "options"), [c for c in CASES if c[0] in STATES], ids=str)
def test_mask_and_loss_from_any_state(name: str, options: dict[str, Any]) -> None:
    """As late in a run: thresholds between those of the classes, some guesses kept and some not."""
    masks = []
    for seed in range(8):
        scene = Scene(name, (3, 13), seed, scale=1.5, **options)
        for key, value in STATES[name](scene.draw).items():
            if key not in scene.state_names:  # SoftMatch without alignment
                continue
            scene.algorithm.get_buffer(key).copy_(torch.as_tensor(value))
        masks.append(scene.run().pseudo.mask)
        assert_values(scene)
    assert 0.03 < torch.cat(masks).mean() < 0.97


@pytest.mark.parametrize("name", ["flexmatch", "freematch", "softmatch"])
def test_the_first_state(name: str) -> None:
    scene = Scene(name)
    states: dict[str, dict[str, Any]] = {
        "flexmatch": learned(np.full(UNLABELED, -1)),
        "freematch": {
            "global_threshold": 0.2,
            "class_mean": np.full(5, 0.2),
            "class_histogram": np.full(5, 0.2),
        },
        "softmatch": {
            "confidence_mean": 0.2,
            "confidence_variance": 1.0,
            "adjust.mean_prediction": np.full(5, 0.2),
        },
    }
    wanted = states[name]
    assert set(wanted) == set(scene.state_names)
    for key, value in scene.algorithm.named_buffers():
        np.testing.assert_allclose(value, wanted[key], rtol=1e-7)


def test_mean_teacher_is_consistent_with_the_teacher_and_not_with_itself() -> None:
    scene = Scene("mean-teacher")
    scene.views["weak2"] = scene.views["weak"].copy()
    assert scene.run().metrics["loss/unlabeled"].item() > 0.01
    scene.teacher.load_state_dict(scene.student.state_dict())
    assert scene.run().metrics["loss/unlabeled"].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["uda", "mixmatch", "remixmatch"])
def test_soft_targets_are_not_truncated(name: str) -> None:
    """With every probability below one, a target truncated to integers would be all zero."""
    scene = Scene(name, scale=0.3, **({"threshold": 0.0} if name == "uda" else {}))
    terms = scene.run().metrics
    floor = 0.5 if name != "mixmatch" else 1e-4
    assert terms["loss/unlabeled"].item() > floor


@pytest.mark.parametrize("name", ["pseudo-label", "uda", "fixmatch"])
def test_masked_guesses_count_in_the_denominator(name: str) -> None:
    """As many uncertain images again halve the mean."""
    whole = Scene(name, (3, 4), threshold=0.5, **({"ramp": 0.0} if name == "pseudo-label" else {}))
    half = Scene(name, (3, 8), **whole.options)
    for view, pictures in whole.views.items():
        if view != "x":
            pictures[:] = 4 * pictures
            half.views[view] = np.concatenate([pictures, 0 * pictures])
    kept, diluted = whole.run(), half.run()
    assert kept.pseudo.mask.any() and not half.output.pseudo.mask[4:].any()
    torch.testing.assert_close(diluted.metrics["loss/unlabeled"], kept.metrics["loss/unlabeled"] / 2)
