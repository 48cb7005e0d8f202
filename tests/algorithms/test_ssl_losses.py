"""Losses, masks, gradients and state of the semi-supervised algorithms against float64 NumPy.

The network is linear in the pixels, so that the reference needs none of the package; it keeps what it was
shown, so that what was mixed, moved or rotated can be read back.
"""

import runpy
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch import nn

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.targets import align
from ssl_mix.types import Batch, Nets, Samples, Step, Task

reference = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("reference.py"))))

CLASSES, UNLABELED = 5, 40
SHAPE = (12, 2, 2)
PIXELS = 48
SIZES = [(5, 9), (1, 3), (3, 8)]
PROGRESS = [0, 30, 100]
SLOPE = 1e-6


class Recorder(nn.Module):
    """A linear classifier of pixels that keeps what it was shown."""

    num_features = PIXELS

    def __init__(self, draw, scale):
        super().__init__()
        self.head = nn.Linear(PIXELS, CLASSES, bias=False, dtype=torch.float64)
        self.head.weight.data = torch.from_numpy(
            scale * draw.standard_normal((CLASSES, PIXELS)) / PIXELS**0.5
        )
        self.shown = []

    def features(self, pictures):
        self.shown.append(pictures.detach().numpy())
        return pictures.flatten(1)

    def forward(self, pictures):
        return self.head(self.features(pictures))

    @property
    def weights(self):
        return self.head.weight.detach().numpy()


def flat(pictures):
    return np.asarray(pictures).reshape(len(pictures), -1)


def of_every_row(scores):
    return np.asarray(scores).argmax(axis=1)


class Scene:
    """One algorithm, its networks and random images; scale 3 makes about half of the guesses confident."""

    def __init__(self, name, sizes=(5, 9), seed=0, scale=3.0, **options):
        self.draw = np.random.default_rng(seed)
        self.name, self.options, self.sizes = name, options, sizes
        torch.manual_seed(seed)
        self.algorithm = ALGORITHMS[name](**options)
        self.student, self.teacher = Recorder(self.draw, scale), Recorder(self.draw, scale)
        self.student = self.algorithm.extend(self.student, Task(CLASSES, UNLABELED, SHAPE))
        self.algorithm.double()
        self.refresh()

    def refresh(self):
        """New images, labels and positions."""
        labeled, unlabeled = self.sizes
        self.views = {"x": self.draw.standard_normal((labeled, *SHAPE))}
        for view in self.algorithm.unlabeled_views:
            self.views[view] = self.draw.standard_normal((unlabeled, *SHAPE))
        self.labels = self.draw.integers(CLASSES, size=labeled)
        self.indices = self.draw.permutation(max(UNLABELED, unlabeled))[:unlabeled] % UNLABELED

    def run(self, number=30, total=100, seed=0):
        self.number, self.progress = number, number / total
        self.state = {k: v.numpy().copy() for k, v in self.algorithm.named_buffers()}
        self.student.shown.clear()
        tensors = {name: torch.from_numpy(pictures) for name, pictures in self.views.items()}
        unlabeled = {name: pictures for name, pictures in tensors.items() if name != "x"}
        labels, indices = torch.from_numpy(self.labels), torch.from_numpy(self.indices)
        batch = Batch(
            Samples({"weak": tensors["x"]}, torch.arange(len(labels)), labels),
            Samples(unlabeled, indices, None),
        )
        step = Step(number, total, torch.Generator().manual_seed(seed))
        self.output = self.algorithm(Nets(self.student, self.teacher), batch, step)
        return self.output

    @property
    def shown(self):
        return self.student.shown

    @property
    def state_names(self):
        return [name for name, _ in self.algorithm.named_buffers()]

    def logits(self, weights=None):
        """Of every view by the student, and of what the other pass answers to ("target") or what VAT
        moved."""
        weights = self.student.weights if weights is None else weights
        scores = {name: flat(pictures) @ weights.T for name, pictures in self.views.items()}
        if self.name == "pi-model":
            scores["target"] = scores["weak2"]
        if self.name == "mean-teacher":
            scores["target"] = flat(self.views["weak2"]) @ self.teacher.weights.T
        if self.name == "vat":
            scores["moved"] = flat(self.shown[-1]) @ weights.T
        return scores

    def expected(self, weights=None):
        """Total, terms and mask by the reference; targets stay as they are when other ``weights`` are
        given."""
        function = {
            "pseudo-label": reference.pseudo_label,
            "pi-model": reference.consistency,
            "mean-teacher": reference.consistency,
        }.get(self.name) or getattr(reference, self.name)
        options = dict(self.options)
        if "ramp" in options:
            options["ramp_share"] = options.pop("ramp")
        if self.name in ("pi-model", "mean-teacher"):
            options.setdefault("unlabeled_weight", {"pi-model": 10.0, "mean-teacher": 50.0}[self.name])
        for name in ("radius", "probe", "power_iterations"):
            options.pop(name, None)
        fixed = self.logits()
        return function(self.logits(weights), fixed, self.labels, self.progress, self.state, **options)


SWITCHES = [
    ("pseudo-label", [{}, {"threshold": 0.6, "unlabeled_weight": 0.3, "ramp": 0.0}, {"threshold": 0.0}]),
    ("pi-model", [{}, {"unlabeled_weight": 3.0, "ramp": 0.7}]),
    ("mean-teacher", [{}, {"unlabeled_weight": 3.0, "ramp": 0.0}]),
    ("vat", [{}, {"unlabeled_weight": 0.4, "entropy_weight": 0.5, "radius": 0.7, "ramp": 0.0}, {"power_iterations": 3}]),
    ("uda", [{}, {"threshold": 0.3, "temperature": 0.9, "unlabeled_weight": 2.0}]
        + [{"tsa": t, "tsa_confidence": c, "tsa_mean": m}
           for t, c, m in product(("linear", "log", "exp"), ("true", "max"), ("batch", "kept"))]),
    ("fixmatch", [{}, {"threshold": 0.5, "unlabeled_weight": 2.0}, {"threshold": 0.0}, {"threshold": 1.0}]),
    ("flexmatch", [{"mapping": m, "threshold_warmup": w, "threshold": t}
                   for m, w, t in product(("convex", "linear", "concave"), (True, False), (0.95, 0.6))]),
    ("freematch", [{}, {"average_decay": 0.5, "fairness_weight": 0.2},
                   {"average_decay": 0.1, "lowest_threshold": 0.9, "unlabeled_weight": 2.0},
                   {"average_decay": 0.1, "highest_threshold": 0.4}]),
    ("softmatch", [{}, {"average_decay": 0.5, "sigmas": 0.7}, {"average_decay": 0.2, "align": False, "unlabeled_weight": 2.0}]),
]  # fmt: skip
CASES = [(name, options) for name, many in SWITCHES for options in many]
case = pytest.mark.parametrize(("name", "options"), CASES, ids=str)


def with_history(name, options, sizes=(5, 9), seed=0, steps=4, scale=3.0):
    """A scene some steps into a run, so that buffers have moved."""
    scene = Scene(name, sizes, seed, scale, **options)
    for number in range(steps if scene.state_names else 0):
        scene.algorithm.commit(scene.run(number).carry)
        scene.refresh()
    return scene


def assert_values(scene):
    loss, terms, mask = scene.expected()
    output = scene.output
    assert output.loss.shape == () and output.loss.item() == pytest.approx(loss, rel=1e-6, abs=1e-7)
    got = {key: value.item() for key, value in output.metrics.items() if key.startswith("loss/")}
    assert got == pytest.approx(terms, rel=1e-6, abs=1e-7)
    np.testing.assert_allclose(output.pseudo.mask, mask, rtol=2e-6, atol=1e-7)


@case
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("number", PROGRESS)
def test_loss_terms_and_mask(name, options, sizes, number):
    for seed in range(2):
        scene = with_history(name, options, sizes, seed)
        scene.run(number)
        assert_values(scene)
        guess = reference.softmax(scene.logits()["target" if name == "mean-teacher" else "weak"])
        if name != "pi-model":
            assert (scene.output.pseudo.labels.numpy() == guess.argmax(axis=1)).all()
        assert (scene.output.pseudo.indices.numpy() == scene.indices).all()


def test_the_cases_have_kept_and_masked_pseudo_labels():
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
def test_gradient_with_targets_held_fixed(name, options, seed):
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
            ("softmatch", {"average_decay": 0.9, "align": False})]  # fmt: skip


@pytest.mark.parametrize(("name", "options"), STATEFUL, ids=str)
def test_state_over_twenty_steps(name, options):
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


STATES = {
    "flexmatch": lambda draw: {"image_class": draw.choice([-1, 0, 1, 2, 3, 4], UNLABELED, p=[0.25, 0.05, 0.1, 0.15, 0.2, 0.25])},
    "freematch": lambda draw: {"global_threshold": draw.uniform(0.5, 1), "class_mean": draw.dirichlet(np.full(5, 9.0)),
                               "class_histogram": draw.dirichlet(np.full(5, 9.0))},
    "softmatch": lambda draw: {"confidence_mean": draw.uniform(0.6, 1), "confidence_variance": draw.uniform(0.01, 0.1),
                               "class_mean": draw.dirichlet(np.full(5, 9.0))},
}  # fmt: skip


@pytest.mark.parametrize(("name", "options"), [c for c in CASES if c[0] in STATES], ids=str)
def test_mask_and_loss_from_any_state(name, options):
    """As late in a run: thresholds between those of the classes, some guesses kept and some not."""
    masks = []
    for seed in range(8):
        scene = Scene(name, (3, 13), seed, scale=1.5, **options)
        for key, value in STATES[name](scene.draw).items():
            scene.algorithm.get_buffer(key).copy_(torch.as_tensor(value))
        masks.append(scene.run().pseudo.mask)
        assert_values(scene)
    assert 0.03 < torch.cat(masks).mean() < 0.97


@pytest.mark.parametrize("name", ["flexmatch", "freematch", "softmatch"])
def test_the_first_state(name):
    scene = Scene(name)
    wanted = {
        "flexmatch": {"image_class": np.full(UNLABELED, -1)},
        "freematch": {"global_threshold": 0.2, "class_mean": np.full(5, 0.2), "class_histogram": np.full(5, 0.2)},
        "softmatch": {"confidence_mean": 0.2, "confidence_variance": 1.0, "class_mean": np.full(5, 0.2)},
    }[name]  # fmt: skip
    assert set(wanted) == set(scene.state_names)
    for key, value in scene.algorithm.named_buffers():
        np.testing.assert_allclose(value, wanted[key], rtol=1e-7)


def test_flexmatch_counts_as_a_dictionary_does_after_a_thousand_commits():
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
        state = {"image_class": np.array(list(known.values()))}
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
    assert scene.algorithm.image_class.tolist() == list(known.values())
    assert len(set(known.values())) == CLASSES and -1 not in known.values()


def test_flexmatch_lets_every_guess_pass_until_one_is_confident():
    scene = Scene("flexmatch", scale=0.1)
    assert scene.run().pseudo.mask.all()
    scene.algorithm.commit(scene.output.carry)
    assert (scene.algorithm.image_class == -1).all()
    assert scene.run().pseudo.mask.all()


@pytest.mark.parametrize("absent", [{4}, {0, 2}])
def test_freematch_fairness_leaves_out_classes_that_no_strong_view_is_guessed_to_be(absent):
    scene = Scene("freematch", fairness_weight=1.0, average_decay=0.5)
    for c in absent:
        scores = scene.logits()["strong"]
        direction = scene.student.weights[c].reshape(SHAPE)
        scene.views["strong"] -= (scores.max() + 9) * direction / (direction**2).sum()
    assert absent.isdisjoint(of_every_row(scene.logits()["strong"]))
    scene.run()
    assert_values(scene)


def test_freematch_without_any_kept_guess_has_no_fairness_term():
    scene = Scene("freematch", scale=0.1, lowest_threshold=1.0, fairness_weight=1.0)
    scene.run().loss.backward()
    assert not scene.output.pseudo.mask.any()
    assert scene.output.metrics["loss/fairness"].item() == 0
    assert scene.student.head.weight.grad.isfinite().all()
    assert_values(scene)


def test_softmatch_weighs_a_single_unlabeled_picture_without_nan():
    scene = Scene("softmatch", (3, 1))
    scene.run().loss.backward()
    assert scene.output.loss.isfinite() and scene.output.pseudo.mask.isfinite().all()
    scene.algorithm.commit(scene.output.carry)
    assert all(value.isfinite().all() for value in scene.algorithm.buffers())


# Known defects of other toolkits.


def test_mean_teacher_is_consistent_with_the_teacher_and_not_with_itself():
    scene = Scene("mean-teacher")
    scene.views["weak2"] = scene.views["weak"].copy()
    assert scene.run().metrics["loss/unlabeled"].item() > 0.01
    scene.teacher.load_state_dict(scene.student.state_dict())
    assert scene.run().metrics["loss/unlabeled"].item() == pytest.approx(0, abs=1e-12)


def test_temperature_of_uda_changes_the_loss_and_not_the_mask():
    sharp, flat_ = (Scene("uda", threshold=0.6, temperature=t).run() for t in (0.2, 1.0))
    assert abs(sharp.metrics["loss/unlabeled"] - flat_.metrics["loss/unlabeled"]) > 0.01
    assert torch.equal(sharp.pseudo.mask, flat_.pseudo.mask)


def test_threshold_of_uda_comes_before_sharpening():
    scene = Scene("uda", temperature=0.1, threshold=0.8, scale=0.5)
    p = reference.softmax(scene.logits()["weak"])
    assert (p.max(axis=1) < 0.8).all() and (reference.sharpen(p, 0.1).max(axis=1) > 0.8).any()
    assert scene.run().metrics["loss/unlabeled"].item() == 0


@pytest.mark.parametrize("name", ["uda", "mixmatch", "remixmatch"])
def test_soft_targets_are_not_truncated(name):
    """With every probability below one, a target truncated to integers would be all zero."""
    scene = Scene(name, scale=0.3, **({"threshold": 0.0} if name == "uda" else {}))
    terms = scene.run().metrics
    floor = 0.5 if name != "mixmatch" else 1e-4
    assert terms["loss/unlabeled"].item() > floor


@pytest.mark.parametrize("name", ["pseudo-label", "uda", "fixmatch"])
def test_masked_guesses_count_in_the_denominator(name):
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


# Virtual adversarial training.


def kl_gradient(scene, direction, probe, step=1e-5):
    """Of KL(p(x) || p(x + probe d)) with respect to d, image by image, by central differences in the
    pixels."""
    pictures = flat(scene.views["weak"])
    weights = scene.student.weights
    p = reference.softmax(pictures @ weights.T)

    def divergence(d):
        return reference.kl(p, (pictures + probe * d) @ weights.T)

    gradient = np.zeros_like(pictures)
    for pixel in range(PIXELS):
        nudge = np.zeros(PIXELS)
        nudge[pixel] = step
        gradient[:, pixel] = (divergence(direction + nudge) - divergence(direction - nudge)) / (2 * step)
    return gradient


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("iterations", [1, 3])
def test_vat_moves_along_the_gradient_of_the_divergence(sizes, iterations):
    probe, radius = 0.5, 2.5
    scene = Scene("vat", sizes, probe=probe, radius=radius, power_iterations=iterations, scale=2.0)
    scene.run()
    pictures = flat(scene.views["weak"])
    moves = [flat(shown) - pictures for shown in scene.shown if len(shown) == len(pictures)]
    moves = [move for move in moves if np.abs(move).max() > 0]
    assert len(moves) == iterations + 1
    for move, following in zip(moves, moves[1:], strict=False):
        np.testing.assert_allclose(np.linalg.norm(move, axis=1), probe, rtol=1e-6)
        expected = unit(kl_gradient(scene, move / probe, probe))
        np.testing.assert_allclose(unit(following), expected, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(moves[-1], axis=1), radius, rtol=1e-6)


def test_vat_draws_its_direction_from_the_generator_and_leaves_no_gradient_behind():
    scene = Scene("vat", probe=0.5)
    first = []
    for seed in (0, 0, 1):
        scene.run(seed=seed)
        first.append(scene.shown[-1])
        assert scene.student.head.weight.grad is None
    assert (first[0] == first[1]).all() and np.abs(first[0] - first[2]).max() > 1e-3


def test_vat_directions_are_uniform_on_the_sphere():
    """Of a unit vector from a Gaussian, each squared component is 1 / D on average, and each component 0."""
    scene = Scene("vat", (1, 400), probe=0.5)
    scene.run()
    moves = [flat(s) - flat(scene.views["weak"]) for s in scene.shown if len(s) == 400]
    probe = next(unit(move) for move in moves if np.abs(move).max() > 0)
    assert abs(probe.mean()) < 4 / (PIXELS * 400) ** 0.5 / PIXELS**0.5
    assert (probe**4).mean() == pytest.approx(3 / (PIXELS * (PIXELS + 2)), rel=0.05)


# Mixing algorithms: what was mixed is read back from the images.

MIXING = [("mixmatch", {}), ("mixmatch", {"temperature": 0.9, "unlabeled_weight": 7.0, "ramp": 0.0}),
          ("mixmatch", {"lam_per": "batch", "interleave": False}), ("mixmatch", {"interleave": False}),
          ("remixmatch", {}), ("remixmatch", {"lam_per": "batch", "interleave": False, "temperature": 0.8}),
          ("remixmatch", {"unlabeled_weight": 0.3, "unmixed_weight": 2.0, "rotation_weight": 0.2, "ramp": 0.6}),
          ("remixmatch", {"average_decay": 0.5, "interleave": False})]  # fmt: skip
mixing_case = pytest.mark.parametrize(("name", "options"), MIXING, ids=str)
PARTS = {"mixmatch": ("x", "weak", "weak2"), "remixmatch": ("x", "strong", "strong2", "weak")}
WEIGHTS = {"mixmatch": {"unlabeled_weight": 100.0, "ramp": 0.4},
           "remixmatch": {"unlabeled_weight": 1.5, "unmixed_weight": 0.5, "rotation_weight": 0.5, "ramp": 1 / 64}}  # fmt: skip


class Mixed:
    """What a mixing algorithm has shown: mixed rows as shares of the images, the unmixed passes, the
    rotations."""

    def __init__(self, scene):
        self.scene, self.parts = scene, PARTS[scene.name]
        self.sizes = [len(scene.views[part]) for part in self.parts]
        self.pictures = np.concatenate([flat(scene.views[part]) for part in self.parts])
        back = np.linalg.pinv(self.pictures)
        # Guesses come first: two views of MixMatch, one of ReMixMatch; its unmixed and its rotated images
        # come last.
        shown = scene.shown[2:] if scene.name == "mixmatch" else scene.shown[1:-2]
        self.passes = [flat(pictures) @ back for pictures in shown]
        for shares, pictures in zip(self.passes, shown, strict=True):
            np.testing.assert_allclose(shares @ self.pictures, flat(pictures), atol=1e-9)

    @property
    def rotated(self):
        return self.scene.shown[-1]

    @property
    def turns(self):
        """By how many quarter turns each strong view was rotated."""
        pairs = zip(self.scene.views["strong"], self.rotated, strict=True)
        turns = [
            [r for r in range(4) if (np.rot90(picture, r, (1, 2)) == seen).all()] for picture, seen in pairs
        ]
        assert all(len(found) == 1 for found in turns)
        return np.concatenate(turns)

    def rows(self):
        """(base, partner, lam) of each mixed image, ordered by base."""
        shares = np.concatenate(self.passes)
        order = [(int(row.argmax()), *self._pair(row)) for row in shares]
        assert sorted(base for base, _, _ in order) == list(range(len(self.pictures)))
        return sorted(order)

    @staticmethod
    def _pair(row):
        visible = np.flatnonzero(np.abs(row) > 1e-7)
        base = int(row.argmax())
        assert len(visible) <= 2 and row.sum() == pytest.approx(1, abs=1e-6)
        others = [int(i) for i in visible if i != base]
        return (others[0] if others else base), row[base]


def mixing_state(scene):
    """The moving averages after this step, as ReMixMatch begins them: plain means of all steps so far and a
    uniform one."""
    decay = min(scene.options.get("average_decay", 0.999), (1 + scene.number) / (2 + scene.number))
    p = reference.softmax(scene.logits()["weak"]).mean(axis=0)
    shares = reference.one_hot(scene.labels, CLASSES).mean(axis=0)
    return {
        "mean_prediction": reference.average(scene.state["mean_prediction"], p, decay),
        "class_share": reference.average(scene.state["class_share"], shares, decay),
    }


def guesses(scene):
    temperature = scene.options.get("temperature", 0.5)
    scores = scene.logits()
    if scene.name == "mixmatch":
        mean = (reference.softmax(scores["weak"]) + reference.softmax(scores["weak2"])) / 2
        return reference.sharpen(mean, temperature)
    state = mixing_state(scene)
    p = reference.aligned(reference.softmax(scores["weak"]), state["mean_prediction"], state["class_share"])
    return reference.sharpen(p, temperature)


def mixing_terms(scene, weights=None):
    """Total and terms; targets, mixing and rotations as they were shown."""
    weights = scene.student.weights if weights is None else weights
    mixed = Mixed(scene)
    q = guesses(scene)
    targets = np.concatenate([reference.one_hot(scene.labels, CLASSES), *[q] * (len(mixed.parts) - 1)])
    shares = np.zeros((len(targets), len(targets)))
    for base, partner, lam in mixed.rows():
        shares[base, partner] += 1 - lam
        shares[base, base] += lam
    logits = shares @ mixed.pictures @ weights.T
    squared = scene.name == "mixmatch"
    labeled, unlabeled = reference.mixed_loss(logits, shares @ targets, len(scene.labels), squared=squared)
    option = WEIGHTS[scene.name] | scene.options
    ramp = reference.ramp(scene.progress, option["ramp"])
    terms = {"loss/labeled": labeled, "loss/unlabeled": unlabeled}
    total = labeled + ramp * option["unlabeled_weight"] * unlabeled
    if not squared:
        terms["loss/unmixed"] = reference.cross_entropy(flat(scene.views["strong"]) @ weights.T, q).mean()
        head = scene.algorithm.rotation_head
        scores = flat(mixed.rotated) @ head.weight.detach().numpy().T + head.bias.detach().numpy()
        terms["loss/rotation"] = reference.cross_entropy(scores, reference.one_hot(mixed.turns, 4)).mean()
        total += ramp * option["unmixed_weight"] * terms["loss/unmixed"]
        total += option["rotation_weight"] * terms["loss/rotation"]
    return total, terms


@mixing_case
@pytest.mark.parametrize("sizes", [(5, 5), (1, 1), (3, 6), (4, 4)])
@pytest.mark.parametrize("number", PROGRESS)
def test_mixing_algorithms(name, options, sizes, number):
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
def test_gradient_of_mixing_algorithms(name, options):
    scene = Scene(name, (4, 4), **options)
    scene.run().loss.backward()
    gradient = scene.student.head.weight.grad.numpy()
    for _ in range(4):
        along = scene.draw.standard_normal(gradient.shape)
        above, below = (mixing_terms(scene, scene.student.weights + s * SLOPE * along)[0] for s in (1, -1))
        assert (gradient * along).sum() == pytest.approx((above - below) / (2 * SLOPE), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", PARTS)
def test_shares_keep_the_base_and_are_one_per_sample_or_one_per_batch(name):
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
def test_shares_are_beta(name, alpha):
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
def test_interleaving_puts_every_part_into_the_first_pass(name):
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


def test_remixmatch_state_over_twenty_steps():
    scene = Scene("remixmatch", average_decay=0.9)
    np.testing.assert_allclose(scene.algorithm.mean_prediction, np.full(CLASSES, 1 / CLASSES))
    np.testing.assert_allclose(scene.algorithm.class_share, np.full(CLASSES, 1 / CLASSES))
    for number in range(20):
        output = scene.run(number)
        assert all((scene.state[k] == v.numpy()).all() for k, v in scene.algorithm.named_buffers())
        scene.algorithm.commit(output.carry)
        for key, value in mixing_state(scene).items():
            np.testing.assert_allclose(getattr(scene.algorithm, key), value, rtol=1e-6, err_msg=key)
        assert output.loss.item() == pytest.approx(mixing_terms(scene)[0], rel=1e-6)
        scene.refresh()


def test_rotations_are_drawn_for_each_picture():
    scene = Scene("remixmatch", (9, 9))
    turns = []
    for seed in range(20):
        scene.run(seed=seed)
        turns += list(Mixed(scene).turns)
    counts = np.bincount(turns, minlength=4)
    assert np.abs(counts - 45).max() < 4 * (180 * 3 / 16) ** 0.5


@pytest.mark.parametrize("name", ["softmatch", "remixmatch"])
def test_aligned_guesses_sum_to_one(name):
    draw = np.random.default_rng(0)
    p, mean, wanted = (
        draw.dirichlet(np.ones(CLASSES), 9),
        draw.dirichlet(np.ones(CLASSES)),
        draw.dirichlet(np.ones(CLASSES)),
    )
    wanted = 1 / CLASSES if name == "softmatch" else wanted
    result = align(*(torch.as_tensor(a, dtype=torch.float64) for a in (p, mean, wanted)))
    np.testing.assert_allclose(result.sum(dim=1), 1, rtol=1e-12)
    np.testing.assert_allclose(result, reference.aligned(p, mean, wanted), rtol=1e-9)
