"""Losses, gradients, keys and queues of the transfer algorithms against float64 NumPy.

The network is small enough for the reference to be whole, batch norm included; it keeps what it was shown, so
that the shares of mixed images can be read back. Slopes of the reference are exact (complex steps), so that
gradients are held to nine digits as values are.
"""

import copy
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.models import build_model
from ssl_mix.models.pretrained import keep_source_head
from ssl_mix.types import Batch, Nets, Samples, Step, Task

reference = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("transfer_reference.py"))))

CLASSES, SOURCES, WIDTH, UNLABELED = 5, 7, 6, 40
SHAPE = (12, 2, 2)
PIXELS = 48
EXACT = 1e-9
PROGRESS = [0, 30, 100]
SECOND = {"self-tuning": "strong2", "bi-tuning": "weak2"}


class Bent(nn.Module):
    """Features tanh(norm(body(pixels))); keeps what it was shown."""

    def __init__(self, width=WIDTH):
        super().__init__()
        self.body = nn.Linear(PIXELS, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.head = nn.Linear(width, CLASSES)
        self.shown = []

    def features(self, pictures):
        self.shown.append(pictures.detach().numpy().copy())
        return torch.tanh(self.norm(self.body(pictures.flatten(1))))

    def forward(self, pictures):
        return self.head(self.features(pictures))


class Block(nn.Module):
    """A residual block; the shortcut's convolution is the last of its modules."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 6, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 5, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(5)
        self.downsample = nn.Sequential(nn.Conv2d(4, 5, 1, bias=False), nn.BatchNorm2d(5))

    def forward(self, x):
        inner = torch.tanh(self.norm1(self.conv1(x)))
        return torch.tanh(self.norm2(self.conv2(inner)) + self.downsample(x))


class Convolutional(nn.Module):
    """A plain stage and a residual one, average-pooled."""

    hidden_layers = ("first", "second")

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.Tanh())
        self.second = Block()
        self.head = nn.Linear(5, CLASSES)

    def features(self, pictures):
        return self.second(self.first(pictures)).mean(dim=(2, 3))

    def forward(self, pictures):
        return self.head(self.features(pictures))


def shaken(net, draw, scale=1.0):
    """Random weights for every parameter and running statistic, in float64."""
    net.double()
    for name, value in net.state_dict().items():
        if name.endswith("running_var"):
            value.copy_(torch.from_numpy(draw.uniform(0.5, 2, value.shape)))
        elif value.is_floating_point():
            spread = scale / max(1, value[0].numel()) ** 0.5 if value.ndim > 1 else 0.5
            value.copy_(torch.from_numpy(spread * draw.standard_normal(value.shape)))
    for module in net.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.weight.data += 1
    return net


def weights_of(net):
    """Parameters and running statistics as NumPy arrays."""
    return {n: v.detach().numpy().copy() for n, v in net.state_dict().items() if v.is_floating_point()}


class Scene:
    """One algorithm, its networks, and random images."""

    shape, make = SHAPE, Bent

    def __init__(self, name, sizes=(5, 9), seed=0, scale=3.0, **options):
        self.draw = np.random.default_rng(seed)
        self.name, self.options, self.sizes = name, options, sizes
        torch.manual_seed(seed)
        self.algorithm = ALGORITHMS[name](**options)
        net = shaken(self.make(), self.draw, scale)
        if name == "co-tuning":
            keep_source_head(net, shaken(nn.Linear(WIDTH, SOURCES), self.draw))
        self.start = weights_of(net)
        self.trained_at_start = {n: self.start[n] for n, _ in net.named_parameters()}
        self.student = self.algorithm.extend(net, Task(CLASSES, UNLABELED, self.shape))
        self.student.double().train()
        self.algorithm.double()
        self.teacher = copy.deepcopy(self.student).eval()
        for net in (self.student, self.teacher):  # away from where training began, and from each other
            for value in net.parameters():
                value.data += torch.from_numpy(0.3 * self.draw.standard_normal(value.shape))
        if name == "co-tuning":
            self.algorithm.relationship_matrix.copy_(
                torch.from_numpy(self.draw.dirichlet(np.ones(SOURCES), CLASSES))
            )
        self.refresh()

    @property
    def mixing(self):
        return self.options.get("mixing", MixingTerms())

    def refresh(self, labels=None):
        """New images, labels and positions."""
        labeled, unlabeled = self.sizes
        shown = {
            "x": (self.algorithm.labeled_views, labeled),
            "u": (self.algorithm.unlabeled_views, unlabeled),
        }
        self.views = {
            part: {view: self.draw.standard_normal((count, *self.shape)) for view in views}
            for part, (views, count) in shown.items()
        }
        self.labels = self.draw.integers(CLASSES, size=labeled) if labels is None else labels
        self.indices = self.draw.permutation(max(UNLABELED, unlabeled))[:unlabeled] % UNLABELED

    @property
    def x(self):
        return next(iter(self.views["x"].values()))

    @property
    def u(self):
        return next(iter(self.views["u"].values()))

    def second(self, part):
        return self.views[part][SECOND[self.name]]

    def run(self, number=30, total=100, seed=0):
        self.progress = number / total
        self.w, self.v = weights_of(self.student), weights_of(self.teacher)
        self.state = {n: b.numpy().copy() for n, b in self.algorithm.named_buffers()}
        for net in (self.student, self.teacher):
            vars(net).setdefault("shown", []).clear()
        x, u = (
            {n: torch.from_numpy(pictures) for n, pictures in self.views[part].items()} for part in ("x", "u")
        )
        labeled = Samples(x, torch.arange(len(self.labels)), torch.from_numpy(self.labels))
        unlabeled = Samples(u, torch.from_numpy(self.indices), None) if u else None
        step = Step(number, total, torch.Generator().manual_seed(seed))
        self.output = self.algorithm(Nets(self.student, self.teacher), Batch(labeled, unlabeled), step)
        return self.output

    @property
    def queue(self):
        """Keys (C, depth, width) and next slots before the step."""
        return self.state["queue.keys"], self.state["queue.next_slot"]

    def keys(self, part):
        """What the teacher makes of the second views, by their own batch."""
        return reference.unit(
            reference.linear(self.v, "projector", reference.features(self.v, self.second(part)))
        )

    def guess(self):
        """(Guessed classes, masks) of the student for the first unlabeled view, normalized by its batch."""
        p = reference.softmax(reference.linear(self.w, "head", reference.features(self.w, self.u)))
        return p.argmax(axis=1), (p.max(axis=1) >= self.options.get("threshold", 0.0)).astype(float)

    def clean(self, live):
        """The loss without mixing terms."""
        f = reference.features(live, self.x)
        loss = reference.labeled(reference.linear(live, "head", f), self.labels)
        return loss + getattr(self, self.name.replace("-", "_"))(live, f)

    def expected(self, live=None):
        live = self.w if live is None else live
        return self.clean(live) + sum(mixing_terms(self, live).values())

    def fine_tuning(self, live, f):
        return 0.0

    def l2_sp(self, live, f):
        return reference.l2_sp(live, self.trained_at_start, **self.options)

    def bss(self, live, f):
        weight, count = self.options.get("shrinkage_weight", 0.001), self.options.get("smallest", 1)
        return weight * reference.smallest_squares(f, reference.features(self.w, self.x), count)

    def co_tuning(self, live, f):
        scores = reference.linear(live, "source_head", f)
        relationship = self.state["relationship_matrix"]
        return self.options.get("source_weight", 2.3) * reference.co_tuning(scores, relationship, self.labels)

    def bi_tuning(self, live, f):
        temperature = self.options.get("temperature", 0.07)
        z = reference.unit(reference.linear(live, "projector", f))
        contrast = reference.pgc(z, self.keys("x"), self.queue[0], self.labels, temperature)
        rows = np.concatenate([self.w["head.weight"], self.w["head.bias"][:, None]], axis=1)
        contrast += reference.classifier_contrast(
            reference.with_one(f),
            reference.unit(rows),
            self.state["feature_queue.keys"],
            self.labels,
            temperature,
        )
        return self.options.get("contrast_weight", 1.0) * contrast

    def self_tuning(self, live, f):
        temperature = self.options.get("temperature", 0.07)
        total = 0.0
        keys, slots = self.queue
        for part, rows, labels in (
            ("x", f, self.labels),
            ("u", reference.features(live, self.u), self.guess()[0]),
        ):
            query = reference.unit(reference.linear(live, "projector", rows))
            total += reference.pgc(query, self.keys(part), keys, labels, temperature)
            keys, slots = reference.pushed(keys, slots, self.keys(part), labels)
        return total


# Mixing terms, with shares and partners read back from the mixed images.


def passes(scene):
    """What the student was shown: the clean views by name, and the mixed images."""
    clean = {f"{part} {view}": p for part, views in scene.views.items() for view, p in views.items()}
    names, mixed = [], []
    for shown in scene.student.shown:
        found = [n for n, p in clean.items() if p.shape == shown.shape and (p == shown).all()]
        names += found
        mixed += [] if found else [shown]
    return names, mixed


def shares(scene):
    """The mixed images as shares of the clean ones: (labeled first view, unlabeled first view), (M, B) and
    (M, U)."""
    _, mixed = passes(scene)
    assert len(mixed) == 1, "all mixed images go through the network together, once"
    pictures = [reference.flat(p) for views in scene.views.values() for p in views.values()]
    back = reference.flat(mixed[0]) @ np.linalg.pinv(np.concatenate(pictures))
    np.testing.assert_allclose(back @ np.concatenate(pictures), reference.flat(mixed[0]), atol=1e-9)
    back[np.abs(back) < 1e-9] = 0
    parts = np.split(back, np.cumsum([len(p) for p in pictures])[:-1], axis=1)
    used = {"x": parts[0], "u": parts[len(scene.views["x"])] if scene.views["u"] else None}
    others = [p for p in parts if not any(p is q for q in used.values())]
    assert not any(p.any() for p in others), "second views are for keys alone"
    return used["x"], used["u"], mixed[0]


def mixing_terms(scene, live):
    """The weighted terms of the mixed images by name."""
    option, count = scene.mixing, len(scene.labels)
    if option.mix == "none":
        assert not passes(scene)[1]
        return {}
    of_labeled, of_unlabeled, mixed = shares(scene)
    head = "mix_head" if scene.options.get("mix_head") == "own" else "head"
    scores = reference.linear(live, head, reference.features(live, mixed))
    assert len(mixed) == count * (option.pairs + option.asymmetric)
    terms = {}
    if option.pairs:
        assert of_unlabeled is None or not of_unlabeled[:count].any()
        partner = [
            next((j for j in np.flatnonzero(r) if j != i), i) for i, r in enumerate(of_labeled[:count])
        ]
        lam = np.diag(of_labeled[:count])
        eta = 0.0 if option.mix == "mixup" else option.eta
        values = reference.pair_loss(scores[:count], scene.labels, scene.labels[partner], lam, eta)
        terms["loss/labeled_pairs"] = option.mix_weight * values.mean()
    if option.asymmetric:
        mine, theirs = of_labeled[-count:], of_unlabeled[-count:]
        assert (mine - np.diag(np.diag(mine)) == 0).all() and ((theirs > 0).sum(axis=1) == 1).all()
        chosen, lam = theirs.argmax(axis=1), np.diag(mine)
        assert len(set(chosen)) == min(count, scene.sizes[1])
        assert ((lam < 0.5) == (option.mix_side == "minor")).all()
        guess, mask = scene.guess()
        sides = (True, option.mix_halves == "both")
        values = reference.pair_loss(scores[-count:], scene.labels, guess[chosen], lam, option.eta, sides)
        values = values * (mask[chosen] if option.mix_mask == "confident" else 1)
        ramp = (1 - np.cos(np.pi * scene.progress)) / 2 if option.mix_ramp == "cosine" else 1.0
        terms["loss/asymmetric"] = option.mix_weight * ramp * values.mean()
    return terms


def slope(scene, along):
    """d loss / d weights along a direction, exactly."""
    step = 1e-30
    live = {n: v + 1j * step * along[n] if n in along else v for n, v in scene.w.items()}
    return scene.expected(live).imag / step


def directions(scene):
    """One direction through each trained tensor alone, and one through all."""
    full = {n: scene.draw.standard_normal(p.shape) for n, p in scene.student.named_parameters()}
    return [{n: d} for n, d in full.items()] + [full]


def gradients(scene):
    """Of the student's parameters, none as zeros."""
    return {
        n: np.zeros(p.shape) if p.grad is None else p.grad.numpy()
        for n, p in scene.student.named_parameters()
    }


def assert_gradients(scene):
    scene.output.loss.backward()
    got = gradients(scene)
    for along in directions(scene):
        inner = sum((got[n] * d).sum() for n, d in along.items())
        assert inner == pytest.approx(slope(scene, along), rel=EXACT, abs=EXACT), list(along)


DM, AS, BOTH = (MixingTerms(mix=mix) for mix in ("dm", "as", "dm-as"))
OTHER = MixingTerms(mix="dm-as", eta=0.7, mix_weight=0.6, mix_alpha=0.4, mix_mask="none", mix_ramp="none")
OPENMIXUP = MixingTerms(mix="dm-as", mix_side="major", mix_halves="both", mix_view="strong")
MIXINGS = [{}, *({"mixing": m} for m in (MixingTerms(mix="mixup"), DM, AS, BOTH, OTHER, OPENMIXUP)),
           {"mixing": BOTH, "mix_head": "own"}, {"mixing": BOTH, "threshold": 0.8}, {"mixing": AS, "threshold": 0.8},
           {"mixing": MixingTerms(mix="dm-as", mix_mask="none"), "threshold": 1.0}]  # fmt: skip
SMALL = {"depth": 3, "width": 4}
SWITCHES = {
    "fine-tuning": [*MIXINGS, {"view": "weak"}, {"view": "weak", "mixing": BOTH}],
    "l2-sp": [{}, {"body_weight": 0.3, "head_weight": 0.0}, {"body_weight": 0.0, "head_weight": 0.7}],
    "bss": [{}, {"shrinkage_weight": 0.3}, {"shrinkage_weight": 0.5, "smallest": 3, "view": "weak"}],
    "co-tuning": [*MIXINGS, {"source_weight": 0.4}, {"source_weight": 0.0, "view": "weak"}],
    "bi-tuning": [SMALL, {**SMALL, "contrast_weight": 0.4, "temperature": 0.5}, {"depth": 1, "width": 3}],
    "self-tuning": [{**SMALL, **m} for m in MIXINGS] + [{"depth": 1, "width": 5, "temperature": 0.5}],
}
CASES = [(name, options) for name, many in SWITCHES.items() for options in many]


def short(value):
    """For the names of tests: what of a mixing differs from the default."""
    if not isinstance(value, dict):
        return str(value)
    plain = vars(MixingTerms())
    values = {
        n: {k: w for k, w in vars(v).items() if w != plain[k]} if n == "mixing" else v
        for n, v in value.items()
    }
    return str(values)


case = pytest.mark.parametrize(("name", "options"), CASES, ids=short)
MIXED = [(n, o) for n, o in CASES if "mixing" in o]
mixed_case = pytest.mark.parametrize(("name", "options"), MIXED, ids=short)
STEPS = [(n, o, number) for n, o in CASES for number in (PROGRESS if "mixing" in o else PROGRESS[1:2])]
step_case = pytest.mark.parametrize(("name", "options", "number"), STEPS, ids=short)
ALL = list(SWITCHES)
every = pytest.mark.parametrize("name", ALL)


def small(name):
    return SMALL if name in SECOND else {}


@step_case
def test_loss(name, options, number):
    for seed, sizes in enumerate([(5, 9), (3, 4), (8, 5)]):
        scene = Scene(name, sizes, seed, **options)
        output = scene.run(number)
        assert output.loss.shape == ()
        assert output.loss.item() == pytest.approx(scene.expected(), rel=EXACT)


@step_case
def test_gradients(name, options, number):
    scene = Scene(name, seed=number, **options)
    scene.run(number)
    assert_gradients(scene)
    assert all(parameter.grad is None for parameter in scene.teacher.parameters())
    assert not any(buffer.requires_grad for buffer in scene.algorithm.buffers())


@case
def test_terms(name, options):
    scene = Scene(name, **options)
    metrics = scene.run().metrics
    f = reference.features(scene.w, scene.x)
    plain = reference.labeled(reference.linear(scene.w, "head", f), scene.labels)
    assert metrics["loss/labeled"].item() == pytest.approx(plain, rel=EXACT)
    mixed = mixing_terms(scene, scene.w)
    assert {n for n in metrics if n in ("loss/labeled_pairs", "loss/asymmetric")} == set(mixed)
    assert all(not value.requires_grad and value.shape == () for value in metrics.values())


@mixed_case
def test_mixing_terms_are_added_once(name, options):
    """Half the weight takes half of the terms away, and nothing else."""
    option = options["mixing"]
    half = Scene(
        name, **{**options, "mixing": MixingTerms(**{**vars(option), "mix_weight": option.mix_weight / 2})}
    )
    whole = Scene(name, **options)
    difference = whole.run(70).loss - half.run(70).loss
    terms = sum(mixing_terms(whole, whole.w).values())
    assert difference.item() == pytest.approx(terms / 2, rel=1e-8)
    assert whole.output.loss.item() - terms == pytest.approx(whole.clean(whole.w), rel=EXACT)


@case
def test_pseudo_labels(name, options):
    scene = Scene(name, **options)
    pseudo = scene.run().pseudo
    if not scene.algorithm.unlabeled_views:
        assert pseudo is None
        return
    guess, mask = scene.guess()
    assert (pseudo.labels.numpy() == guess).all() and (pseudo.mask.numpy() == mask).all()
    assert (pseudo.indices.numpy() == scene.indices).all()


@every
def test_views(name):
    view = "weak" if name == "bi-tuning" else "strong"
    for options in (small(name), {**small(name), "view": "weak"}):
        view = options.get("view", view)
        views = (view, f"{view}2") if name in SECOND else (view,)
        algorithm = ALGORITHMS[name](**options)
        assert algorithm.labeled_views == views
        assert algorithm.unlabeled_views == (views if name == "self-tuning" else ())
    if name in ("fine-tuning", "co-tuning"):
        for mix, expected in {"mixup": (), "dm": (), "as": ("strong",), "dm-as": ("strong",)}.items():
            algorithm = ALGORITHMS[name](mixing=MixingTerms(mix=mix))
            assert algorithm.unlabeled_views == expected


@case
def test_what_is_shown_and_what_it_moves(name, options):
    """Every clean batch by itself, and only what is learnt from moves the running statistics, once."""
    scene = Scene(name, **options)
    teacher = copy.deepcopy(scene.teacher.state_dict())
    scene.run()
    names, _ = passes(scene)
    learnt = [scene.x, scene.u] if name == "self-tuning" else [scene.x]
    assert sorted(names) == sorted(f"{part} {next(iter(v))}" for part, v in scene.views.items() if v)
    keys = [scene.second(part) for part, views in scene.views.items() if views] if name in SECOND else []
    assert len(scene.teacher.shown) == len(keys)
    assert all((a == b).all() for a, b in zip(scene.teacher.shown, keys, strict=True))
    inputs = [reference.before_norm(scene.w, pictures) for pictures in learnt]
    mean, variance = reference.moved(scene.w, "norm", inputs)
    np.testing.assert_allclose(scene.student.norm.running_mean, mean, rtol=EXACT, atol=1e-12)
    np.testing.assert_allclose(scene.student.norm.running_var, variance, rtol=EXACT)
    assert scene.student.norm.num_batches_tracked.item() == len(learnt)
    assert all((teacher[n] == v).all() for n, v in scene.teacher.state_dict().items())
    assert scene.student.training and not any(m.training for m in scene.teacher.modules())
    assert all(m.training for m in scene.student.modules()) and scene.student.norm.track_running_stats


@case
def test_forward_changes_no_buffer_no_weight_and_no_input(name, options):
    scene = Scene(name, **options)
    views = copy.deepcopy(scene.views)
    before = torch.get_rng_state()
    scene.run()
    assert all((scene.state[n] == b.numpy()).all() for n, b in scene.algorithm.named_buffers())
    weights = {n: p.detach().numpy() for n, p in scene.student.named_parameters()}
    assert all((scene.w[n] == p).all() for n, p in weights.items())
    for part, named in views.items():
        assert all((named[n] == p).all() for n, p in scene.views[part].items())
    assert (before == torch.get_rng_state()).all()


@every
def test_the_same_step_again_gives_the_same_loss(name):
    options = {**small(name), **({"mixing": BOTH} if "mixing" in str(SWITCHES[name]) else {})}
    first, second, other = (Scene(name, **options).run(seed=s).loss.item() for s in (3, 3, 4))
    assert first == second and (first != other) == ("mixing" in options)


# L2-SP and BSS.


def test_l2_sp_pulls_towards_the_weights_that_extend_was_given_and_leaves_running_statistics_alone():
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


def test_l2_sp_remembers_the_start_through_its_state():
    scene = Scene("l2-sp", body_weight=1.0)
    fresh = Scene("l2-sp", seed=5, body_weight=1.0)
    fresh.algorithm.load_state_dict(scene.algorithm.state_dict())
    fresh.student.load_state_dict(scene.student.state_dict())
    fresh.views, fresh.labels = scene.views, scene.labels
    assert fresh.run().loss.item() == pytest.approx(scene.run().loss.item(), rel=1e-14)


@pytest.mark.parametrize("sizes", [(2, 0), (4, 0), (6, 0), (9, 0)])
@pytest.mark.parametrize("smallest", [1, 2])
def test_bss_takes_the_smallest_of_the_singular_values_that_there_are(sizes, smallest):
    """min(B, D) of them: with more images than features the Gram matrix of images has zeros that are none."""
    scene = Scene("bss", sizes, shrinkage_weight=1.0, smallest=smallest)
    output = scene.run()
    values = np.linalg.svd(reference.features(scene.w, scene.x), compute_uv=False)
    shrinkage = (output.loss - output.metrics["loss/labeled"]).item()
    assert shrinkage == pytest.approx((np.sort(values)[:smallest] ** 2).sum(), rel=EXACT, abs=1e-12)
    assert_gradients(scene)


def test_bss_refuses_more_singular_values_than_there_are():
    with pytest.raises(ValueError, match="smallest"):
        Scene("bss", (2, 0), smallest=3).run()


# Co-Tuning.


def test_co_tuning_needs_a_source_head():
    net = Bent()
    with pytest.raises(ValueError, match="source|classifier|pre-?trained"):
        ALGORITHMS["co-tuning"]().extend(net, Task(CLASSES, UNLABELED, SHAPE))


def test_co_tuning_starts_from_the_source_head_and_an_even_relationship():
    net, head = Bent(), nn.Linear(WIDTH, SOURCES)
    weight = head.weight.detach().clone()
    keep_source_head(net, head)
    algorithm = ALGORITHMS["co-tuning"]()
    net = algorithm.extend(net, Task(CLASSES, UNLABELED, SHAPE))
    torch.testing.assert_close(dict(net.named_parameters())["source_head.weight"].detach(), weight)
    assert "relationship_matrix" in dict(algorithm.named_buffers())
    np.testing.assert_allclose(
        algorithm.relationship_matrix, np.full((CLASSES, SOURCES), 1 / SOURCES), rtol=1e-6
    )


@pytest.mark.parametrize("name", ["fine-tuning", "co-tuning", "self-tuning"])
def test_a_head_for_mixed_pictures_alone(name):
    """The clean head learns nothing from mixed images, the other nothing from clean ones."""
    option = MixingTerms(mix="dm-as", mix_weight=0.0)
    scene = Scene(name, mixing=option, mix_head="own", **small(name))
    scene.run(70).loss.backward()
    silent = gradients(scene)
    assert not silent["mix_head.weight"].any() and silent["head.weight"].any()
    loud = Scene(name, mixing=BOTH, mix_head="own", **small(name))
    loud.run(70).loss.backward()
    assert gradients(loud)["mix_head.weight"].any()
    np.testing.assert_allclose(gradients(loud)["head.weight"], silent["head.weight"], rtol=EXACT, atol=1e-13)


@pytest.mark.parametrize("name", ["fine-tuning", "co-tuning", "self-tuning"])
def test_the_head_for_mixed_pictures_starts_as_the_head_does(name):
    torch.manual_seed(0)
    net = Bent(width=200)
    if name == "co-tuning":
        keep_source_head(net, nn.Linear(200, SOURCES))
    algorithm = ALGORITHMS[name](mixing=BOTH, mix_head="own")
    net = algorithm.extend(net, Task(CLASSES, UNLABELED, SHAPE))
    new = net.mix_head.weight.detach()
    assert new.shape == net.head.weight.shape and not torch.equal(new, net.head.weight)
    assert new.std().item() == pytest.approx(net.head.weight.std().item(), rel=0.1)
    assert new.abs().max() <= 200**-0.5


# Queues and keys.


@pytest.mark.parametrize("name", SECOND)
def test_queues_begin_with_random_keys_of_length_one(name):
    algorithm = Scene(name, **SMALL).algorithm
    queues = {"queue": 4, **({"feature_queue": WIDTH + 1} if name == "bi-tuning" else {})}
    for queue, width in queues.items():
        keys = getattr(algorithm, queue).keys
        assert keys.shape == (CLASSES, 3, width)
        np.testing.assert_allclose((keys.double() ** 2).sum(dim=2), 1, rtol=1e-6)
        assert len({round(v, 6) for v in keys[:, :, 0].flatten().tolist()}) == CLASSES * 3
        assert not getattr(algorithm, queue).next_slot.any()


@pytest.mark.parametrize("name", SECOND)
def test_the_teacher_has_a_projector_of_its_own(name):
    scene = Scene(name, **SMALL)
    for net in (scene.student, scene.teacher):
        assert net.projector.weight.shape == (4, WIDTH) and net.projector.bias.shape == (4,)
    assert scene.student.projector.weight is not scene.teacher.projector.weight


def pushes(scene):
    """Each queue after the step by the reference: (keys, next slots) by name."""
    after = reference.pushed(*scene.queue, scene.keys("x"), scene.labels)
    if scene.name == "self-tuning":
        return {"queue": reference.pushed(*after, scene.keys("u"), scene.guess()[0])}
    key_features = reference.with_one(reference.features(scene.v, scene.second("x")))
    slots = scene.state["feature_queue.next_slot"]
    other = reference.pushed(scene.state["feature_queue.keys"], slots, key_features, scene.labels)
    return {"queue": after, "feature_queue": other}


@pytest.mark.parametrize("name", SECOND)
@pytest.mark.parametrize("depth", [1, 3])
def test_queues_over_two_hundred_steps(name, depth):
    """Batches with more keys of a class than it has slots among them; the loss follows the queue."""
    scene = Scene(name, (6, 7), depth=depth, width=4)
    crowded = 0
    for number in range(200):
        likely = scene.draw.dirichlet(np.full(CLASSES, 0.5))
        scene.refresh(scene.draw.choice(CLASSES, 6, p=likely))
        crowded += np.bincount(scene.labels).max() > depth
        with torch.no_grad():
            output = scene.run(number, 200)
        if number % 20 == 0:
            assert output.loss.item() == pytest.approx(scene.expected(), rel=EXACT)
        assert not any(value.requires_grad for value in output.carry.values())
        scene.algorithm.commit(output.carry)
        for queue, (keys, slots) in pushes(scene).items():
            np.testing.assert_allclose(getattr(scene.algorithm, queue).keys, keys, rtol=EXACT, atol=1e-12)
            assert (getattr(scene.algorithm, queue).next_slot.numpy() == slots).all()
    assert crowded > 20
    assert (scene.queue[1] < depth).all()


def test_self_tuning_shows_the_labeled_keys_to_the_unlabeled_queries():
    """With the queue as before the step for both, the loss would be another."""
    scene = Scene("self-tuning", **SMALL)
    loss = scene.run().loss.item()
    query = reference.unit(reference.linear(scene.w, "projector", reference.features(scene.w, scene.u)))
    late = reference.pushed(*scene.queue, scene.keys("x"), scene.labels)[0]
    right, wrong = (
        reference.pgc(query, scene.keys("u"), queue, scene.guess()[0], 0.07)
        for queue in (late, scene.queue[0])
    )
    assert loss == pytest.approx(scene.expected(), rel=EXACT)
    assert loss != pytest.approx(scene.expected() - right + wrong, rel=0.001)


def test_self_tuning_ignores_the_threshold_in_its_contrast():
    losses = [Scene("self-tuning", threshold=t, **SMALL).run().loss.item() for t in (0.0, 1.0)]
    assert losses[0] == losses[1]


# DELTA and StochNorm, on a convolutional network.


class ConvScene(Scene):
    shape, make = (3, 4, 4), Convolutional

    def __init__(self, name, **options):
        self.chosen = {}
        super().__init__(name, (4, 0), scale=1.0, **options)

    def norm(self, live, name, x):
        if self.name == "delta":
            return reference.by_batch(live, name, x)
        return reference.stoch_norm(live, name, x, self.chosen[name])

    def clean(self, live):
        maps, f = reference.convolutional(live, self.x, self.norm)
        loss = reference.labeled(reference.linear(live, "head", f), self.labels)
        if self.name == "stochnorm":
            return loss
        start, _ = reference.convolutional(self.start, self.x, reference.by_running)
        feature_weight, head_weight = (self.options.get(f"{n}_weight", 0.01) for n in ("feature", "head"))
        loss += feature_weight / 2 * reference.delta(maps, start)
        return loss + head_weight / 2 * reference.head_squares(live)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"feature_weight": 0.3, "head_weight": 0.0},
        {"feature_weight": 0.0, "head_weight": 0.4, "view": "weak"},
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_delta(options, seed):
    scene = ConvScene("delta", seed=seed, **options)
    output = scene.run()
    assert output.loss.item() == pytest.approx(scene.expected(), rel=EXACT)
    assert_gradients(scene)
    assert all((scene.state[n] == b.numpy()).all() for n, b in scene.algorithm.named_buffers())
    assert not any(p.grad is not None for p in scene.algorithm.parameters())


def test_the_start_of_delta_stays_in_evaluation_mode():
    """Whatever mode the algorithm around it is put into: it normalizes by its running statistics, and keeps
    them."""
    scene = ConvScene("delta", feature_weight=1.0)
    scene.algorithm.train()
    assert scene.run().loss.item() == pytest.approx(scene.expected(), rel=EXACT)
    assert all((scene.state[n] == b.numpy()).all() for n, b in scene.algorithm.named_buffers())


def test_delta_does_not_train_the_network_it_started_from():
    scene = ConvScene("delta")
    kept = {n: v.clone() for n, v in scene.algorithm.state_dict().items()}
    trained = {id(p) for p in scene.student.parameters()}
    assert not any(p.requires_grad for p in scene.algorithm.parameters())
    assert not trained & {id(p) for p in scene.algorithm.parameters()}
    scene.run().loss.backward()
    with torch.no_grad():
        for p in scene.student.parameters():
            p -= 0.1 * p.grad
    assert all((kept[n] == v).all() for n, v in scene.algorithm.state_dict().items())


STAGES = {
    "small-cnn": ["blocks.0", "blocks.3", "blocks.6"],
    "resnet-18": [f"body.layer{stage}.1.conv2" for stage in (1, 2, 3, 4)],
    "torchvision:resnet50": ["body.layer1.2.conv3", "body.layer2.3.conv3", "body.layer3.5.conv3", "body.layer4.2.conv3"],
    "preact-resnet-18": [f"stages.{stage}.1.conv2" for stage in range(4)],
}  # fmt: skip


def maps_of(net, names, pictures):
    """Outputs of the named convolutions."""
    found = {}
    hooks = [
        net.get_submodule(n).register_forward_hook(lambda m, i, o, n=n: found.__setitem__(n, o))
        for n in names
    ]
    net(pictures)
    for hook in hooks:
        hook.remove()
    return [found[n].detach().double().numpy() for n in names]


@pytest.mark.parametrize("model", STAGES)
def test_delta_holds_the_last_convolution_of_each_stage(model):
    torch.manual_seed(0)
    net = build_model(model, CLASSES).double()
    start = copy.deepcopy(net).eval()
    pictures = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    algorithm = ALGORITHMS["delta"](feature_weight=1.0, head_weight=0.0)
    net = algorithm.extend(net, Task(CLASSES, 0, (3, 16, 16))).train()
    labels = torch.tensor([0, 3, 1])
    batch = Batch(Samples({"strong": pictures}, torch.arange(3), labels), None)
    output = algorithm(Nets(net, start), batch, Step(0, 1, torch.Generator()))
    expected = reference.delta(*(maps_of(n, STAGES[model], pictures) for n in (net, start))) / 2
    assert (output.loss - output.metrics["loss/labeled"]).item() == pytest.approx(expected, rel=EXACT)


NORMS = ["first.1", "second.norm1", "second.norm2", "second.downsample.1"]


def watched(scene, **kwargs):
    """Run a step and read back which channels were normalized by the batch; returns what went into each
    layer."""
    inputs, layers = {}, {n: scene.student.get_submodule(n) for n in NORMS}
    before = weights_of(scene.student)

    def look(name):
        def hook(module, args, out):
            x, y = args[0].detach().numpy(), out.detach().numpy()
            inputs[name] = x
            both = [reference.stoch_norm(before, name, x, np.full(x.shape[1], s)) for s in (0, 1)]
            fits = np.array(
                [[np.allclose(y[:, c], b[:, c], rtol=0, atol=1e-10) for c in range(x.shape[1])] for b in both]
            )
            assert (fits.sum(axis=0) == 1).all(), (
                "each channel by one of the two, the same for the whole batch"
            )
            scene.chosen[name] = fits[1].astype(float)

        return hook

    hooks = [layer.register_forward_hook(look(name)) for name, layer in layers.items()]
    scene.run(**kwargs)
    for hook in hooks:
        hook.remove()
    return inputs


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_stochnorm(probability, seed):
    scene = ConvScene("stochnorm", seed=seed, probability=probability)
    inputs = watched(scene, seed=seed)
    assert scene.output.loss.item() == pytest.approx(scene.expected(), rel=EXACT)
    assert_gradients(scene)
    drawn = np.concatenate(list(scene.chosen.values()))
    assert probability == 0.5 or (drawn == probability).all()
    for name, x in inputs.items():  # all channels follow the batch, whichever they were normalized by
        layer = scene.student.get_submodule(name)
        mean, variance = reference.moved(scene.w, name, [x])
        np.testing.assert_allclose(layer.running_mean, mean, rtol=EXACT, atol=1e-12)
        np.testing.assert_allclose(layer.running_var, variance, rtol=EXACT)
        assert layer.num_batches_tracked.item() == 1


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.8])
def test_stochnorm_draws_each_channel_anew_in_each_step(probability):
    scene = ConvScene("stochnorm", probability=probability)
    draws = []
    for seed in range(100):
        watched(scene, number=seed, seed=seed)
        draws.append(np.concatenate([scene.chosen[n] for n in NORMS]))
    draws = np.array(draws)
    error = (probability * (1 - probability) / draws.size) ** 0.5
    assert abs(draws.mean() - probability) < 4 * error
    assert np.abs(np.corrcoef(draws.T) - np.eye(draws.shape[1])).max() < 0.5, "no two channels share a draw"
    assert len({tuple(row) for row in draws}) > 60


def test_stochnorm_can_be_replayed():
    """Its layers draw as dropout does, from the generator of torch that the training loop seeds for each
    step."""
    scene = ConvScene("stochnorm")
    chosen = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        watched(scene)
        chosen.append(np.concatenate([scene.chosen[n] for n in NORMS]))
    assert (chosen[0] == chosen[1]).all() and (chosen[0] != chosen[2]).any()


def test_stochnorm_is_plain_batch_norm_in_evaluation_and_keeps_its_names():
    scene = ConvScene("stochnorm")
    plain = Convolutional().double()
    plain.load_state_dict(scene.student.state_dict())
    pictures = torch.from_numpy(scene.x)
    for net in (scene.student, scene.teacher):
        plain.load_state_dict(net.state_dict())
        torch.testing.assert_close(net.eval()(pictures), plain.eval()(pictures), rtol=1e-12, atol=1e-12)


# The references against each other and against closed forms.


def contrast_scene(seed, batch=7, depth=4, width=6):
    draw = np.random.default_rng(seed)
    query, key = (reference.unit(draw.standard_normal((batch, width))) for _ in range(2))
    queue = reference.unit(draw.standard_normal((CLASSES * depth, width))).reshape(CLASSES, depth, width)
    return query, key, queue, draw.integers(CLASSES, size=batch)


@pytest.mark.parametrize("seed", range(3))
def test_contrast_reference_against_its_closed_form(seed):
    """logsumexp of all 1 + D C logits - mean of the D + 1 positive ones - log(D + 1)."""
    query, key, queue, labels = contrast_scene(seed)
    everyone = np.einsum("nw,cdw->ncd", query, queue) / 0.07
    own = (query * key).sum(axis=1) / 0.07
    normalizer = np.logaddexp(own, np.logaddexp.reduce(everyone.reshape(len(query), -1), axis=1))
    positive = (own + everyone[np.arange(len(query)), labels].sum(axis=1)) / (queue.shape[1] + 1)
    closed = (normalizer - positive - np.log(queue.shape[1] + 1)).mean()
    assert reference.pgc(query, key, queue, labels, 0.07) == pytest.approx(closed, rel=1e-12)


def test_contrast_reference_with_nothing_learnt():
    """log(1 + D C) - log(1 + D): 5.27 with the paper's 200 classes and 32 keys."""
    query = np.eye(1, 4)
    other = np.eye(1, 4, 1)
    value = reference.pgc(query, other, np.broadcast_to(other[0], (200, 32, 4)), np.array([3]), 0.07)
    assert value == pytest.approx(np.log(6401 / 33), rel=1e-12) and round(value, 2) == 5.27


def test_queue_reference_against_first_in_first_out_lists():
    """A class's slots hold its last keys, oldest first from the next slot on."""
    draw = np.random.default_rng(0)
    keys, slots = draw.standard_normal((3, 4, 2)), np.zeros(3, int)
    lists = {c: list(keys[c]) for c in range(3)}
    for _ in range(20):
        new, labels = draw.standard_normal((9, 2)), draw.choice(3, 9, p=[0.7, 0.2, 0.1])
        keys, slots = reference.pushed(keys, slots, new, labels)
        for key, y in zip(new, labels, strict=True):
            lists[y] = [*lists[y][1:], key]
    for c in range(3):
        assert (np.roll(keys[c], -slots[c], axis=0) == np.array(lists[c])).all()


def test_smallest_squares_are_the_smallest_eigenvalues_of_the_gram_matrix():
    rows = np.random.default_rng(0).standard_normal((5, 8))
    values = np.linalg.eigvalsh(rows @ rows.T)
    for count in (1, 2, 5):
        assert reference.smallest_squares(rows, rows, count) == pytest.approx(values[:count].sum(), rel=1e-9)


def test_decoupled_reference_has_no_gradient_at_the_competitor():
    scores = np.random.default_rng(0).standard_normal(CLASSES)
    for c in range(CLASSES):
        live = scores + 1j * 1e-30 * np.eye(CLASSES)[c]
        others = np.exp(np.delete(scores, 3))
        wanted = 0.0 if c == 3 else np.exp(scores[c]) / others.sum() - (c == 1)
        assert reference.decoupled(live, 1, 3).imag / 1e-30 == pytest.approx(wanted, abs=1e-12)


def test_network_references_against_the_networks():
    draw = np.random.default_rng(0)
    flat_net, deep_net = shaken(Bent(), draw), shaken(Convolutional(), draw)
    pictures = draw.standard_normal((4, *SHAPE))
    got = flat_net(torch.from_numpy(pictures)).detach()
    w = weights_of(flat_net)
    np.testing.assert_allclose(reference.linear(w, "head", reference.features(w, pictures)), got, rtol=1e-10)
    pictures = draw.standard_normal((4, 3, 4, 4))
    for training, norm in ((True, reference.by_batch), (False, reference.by_running)):
        w = weights_of(deep_net)
        got = deep_net.train(training).features(torch.from_numpy(pictures)).detach()
        np.testing.assert_allclose(reference.convolutional(w, pictures, norm)[1], got, rtol=1e-10)
