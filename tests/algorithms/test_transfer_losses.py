"""Losses, gradients and side effects of the transfer algorithms against float64 NumPy."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
import transfer_reference as reference
from transfer_scene import (
    BOTH,
    EXACT,
    PROGRESS,
    SECOND,
    SMALL,
    Scene,
    assert_gradients,
    mixing_terms,
    passes,
    small,
)

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.mixing.terms import MixingTerms

DM, AS = MixingTerms(mix="dm"), MixingTerms(mix="as")
OTHER = MixingTerms(mix="dm-as", eta=0.7, mix_weight=0.6, mix_alpha=0.4, mix_ramp="none")
OPENMIXUP = MixingTerms.openmixup()
OWN = MixingTerms(mix="dm-as", mix_head="own")
MIXINGS: list[dict[str, Any]] = [
    {},
    *({"mixing": m} for m in (MixingTerms(mix="mixup"), DM, AS, BOTH, OTHER, OPENMIXUP)),
    {"mixing": OWN},
    {"mixing": BOTH, "threshold": 0.8},
    {"mixing": AS, "threshold": 0.8},
    {"mixing": OPENMIXUP, "threshold": 1.0},
]
SWITCHES: dict[str, list[dict[str, Any]]] = {
    "fine-tuning": [*MIXINGS, {"view": "weak"}, {"view": "weak", "mixing": BOTH}],
    "l2-sp": [{}, {"body_weight": 0.3, "head_weight": 0.0}, {"body_weight": 0.0, "head_weight": 0.7}],
    "bss": [{}, {"shrinkage_weight": 0.3}, {"shrinkage_weight": 0.5, "smallest": 3, "view": "weak"}],
    "co-tuning": [*MIXINGS, {"source_weight": 0.4}, {"source_weight": 0.0, "view": "weak"}],
    "bi-tuning": [SMALL, {**SMALL, "contrast_weight": 0.4, "temperature": 0.5}, {"depth": 1, "width": 3}],
    "self-tuning": [{**SMALL, **m} for m in MIXINGS] + [{"depth": 1, "width": 5, "temperature": 0.5}],
}
CASES = [(name, options) for name, many in SWITCHES.items() for options in many]


def short(value: Any) -> Any:
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


@step_case
def test_loss(name: str, options: dict[str, Any], number: int) -> None:
    for seed, sizes in enumerate([(5, 9), (3, 4), (8, 5)]):
        scene = Scene(name, sizes, seed, **options)
        output = scene.run(number)
        assert output.loss.shape == ()
        assert output.loss.item() == pytest.approx(scene.expected(), rel=EXACT)


@step_case
def test_gradients(name: str, options: dict[str, Any], number: int) -> None:
    scene = Scene(name, seed=number, **options)
    scene.run(number)
    assert_gradients(scene)
    assert all(parameter.grad is None for parameter in scene.teacher.parameters())
    assert not any(buffer.requires_grad for buffer in scene.algorithm.buffers())


@case
def test_terms(name: str, options: dict[str, Any]) -> None:
    scene = Scene(name, **options)
    metrics = scene.run().metrics
    f = reference.features(scene.w, scene.x)
    plain = reference.labeled(reference.linear(scene.w, "head", f), scene.labels)
    assert metrics["loss/labeled"].item() == pytest.approx(plain, rel=EXACT)
    mixed = mixing_terms(scene, scene.w)
    assert {n for n in metrics if n in ("loss/labeled_pairs", "loss/asymmetric")} == set(mixed)
    assert all(not value.requires_grad and value.shape == () for value in metrics.values())


@mixed_case
def test_mixing_terms_are_added_once(name: str, options: dict[str, Any]) -> None:
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
def test_pseudo_labels(name: str, options: dict[str, Any]) -> None:
    scene = Scene(name, **options)
    pseudo = scene.run().pseudo
    if not scene.algorithm.unlabeled_views:
        assert pseudo is None
        return
    guess, mask = scene.guess()
    assert (pseudo.labels.numpy() == guess).all() and (pseudo.mask.numpy() == mask).all()
    assert (pseudo.indices.numpy() == scene.indices).all()


@every
def test_views(name: str) -> None:
    view = "weak" if name == "bi-tuning" else "strong"
    for options in (small(name), {**small(name), "view": "weak"}):
        view = options.get("view", view)
        views = (view, f"{view}2") if name in SECOND else (view,)
        algorithm: Any = ALGORITHMS[name](**options)
        assert algorithm.labeled_views == views
        assert algorithm.unlabeled_views == (views if name == "self-tuning" else ())
    if name in ("fine-tuning", "co-tuning"):
        for mix, expected in {"mixup": (), "dm": (), "as": ("strong",), "dm-as": ("strong",)}.items():
            mixing: Any = ALGORITHMS[name](mixing=MixingTerms(mix=mix))
            assert mixing.unlabeled_views == expected


@case
def test_what_is_shown_and_what_it_moves(name: str, options: dict[str, Any]) -> None:
    """Every clean batch by itself, and only what is learnt from moves the running statistics, once; mixed
    batches do so too in OpenMixup's variant."""
    scene = Scene(name, **options)
    teacher = copy.deepcopy(scene.teacher.state_dict())
    scene.run()
    names, _ = passes(scene)
    learnt = [scene.x, scene.u] if name == "self-tuning" else [scene.x]
    assert sorted(names) == sorted(f"{part} {next(iter(v))}" for part, v in scene.views.items() if v)
    keys = [scene.second(part) for part, views in scene.views.items() if views] if name in SECOND else []
    assert len(scene.teacher.shown) == len(keys)
    assert all((a == b).all() for a, b in zip(scene.teacher.shown, keys, strict=True))
    tracked = scene.student.norm.num_batches_tracked.item()
    if "mixing" in options and options["mixing"].variant.moves_statistics:
        assert tracked == len(learnt) + 1  # all that is mixed goes through the network together
    else:
        inputs = [reference.before_norm(scene.w, pictures) for pictures in learnt]
        mean, variance = reference.moved(scene.w, "norm", inputs)
        np.testing.assert_allclose(scene.student.norm.running_mean, mean, rtol=EXACT, atol=1e-12)
        np.testing.assert_allclose(scene.student.norm.running_var, variance, rtol=EXACT)
        assert tracked == len(learnt)
    assert all((teacher[n] == v).all() for n, v in scene.teacher.state_dict().items())
    assert scene.student.training and not any(m.training for m in scene.teacher.modules())
    assert all(m.training for m in scene.student.modules()) and scene.student.norm.track_running_stats


@case
def test_forward_changes_no_buffer_no_weight_and_no_input(name: str, options: dict[str, Any]) -> None:
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
def test_the_same_step_again_gives_the_same_loss(name: str) -> None:
    options = {**small(name), **({"mixing": BOTH} if "mixing" in str(SWITCHES[name]) else {})}
    first, second, other = (Scene(name, **options).run(seed=s).loss.item() for s in (3, 3, 4))
    assert first == second and (first != other) == ("mixing" in options)
