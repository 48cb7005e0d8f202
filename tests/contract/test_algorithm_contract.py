"""What every registered algorithm must keep. A new algorithm is tested by being registered."""

import dataclasses
import inspect
import itertools
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from algorithm_cases import CLASSES, EVERYTHING, both, make, pretrained_network
from torch import Tensor, nn

from ssl_mix import Batch, MixingTerms, Nets, Samples, Step, StepOutput, Task
from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import ALGORITHMS

# For each keyword another value that must change the loss, on top of the last entry above.
UNLABELED = {"unlabeled_weight": 0.7, "unlabeled_ratio": 3}
OWN_MIXING = {"temperature": 0.8, "alpha": 2.0, "lam_per": "batch", "interleave": False}
OTHER: dict[str, dict[str, Any]] = {
    "supervised": {
        "mixer": "mixup",
        "alpha": 0.3,
        "loss": "ce",
        "label_policy": "plain",
        "regularizer": "none",
        "regularizer_weight": 0.5,
        "stop_mixing": 0.6,
        "label_smoothing": 0.1,
        "view": "strong",
    },
    "pseudo-label": {"threshold": 0.9, "ramp": 0.9, **UNLABELED},
    "pi-model": {"ramp": 0.9, **UNLABELED},
    "mean-teacher": {"ramp": 0.9, **UNLABELED},
    "vat": {
        "entropy_weight": 0.5,
        "radius": 2.0,
        "probe": 1.0,
        "power_iterations": 2,
        "ramp": 0.9,
        **UNLABELED,
    },
    "mixmatch": {**OWN_MIXING, "ramp": 0.9, **UNLABELED},
    "remixmatch": {
        **OWN_MIXING,
        "average_decay": 0.2,
        "unmixed_weight": 0.1,
        "rotation_weight": 0.1,
        "ramp": 0.9,
        **UNLABELED,
    },
    "uda": {
        "threshold": 0.9,
        "temperature": 1.0,
        "tsa": "linear",
        "tsa_confidence": "max",
        "tsa_mean": "kept",
        **UNLABELED,
    },
    "fixmatch": {"threshold": 0.9, **UNLABELED},
    "flexmatch": {"threshold": 0.9, "mapping": "concave", "threshold_warmup": True, **UNLABELED},
    "freematch": {
        "average_decay": 0.6,
        "fairness_weight": 0.1,
        "lowest_threshold": 0.9,
        "highest_threshold": 0.3,
        **UNLABELED,
    },
    "softmatch": {"average_decay": 0.6, "sigmas": 0.5, "align": False, **UNLABELED},
    "fine-tuning": {"view": "weak", "threshold": 0.9, "unlabeled_ratio": 3, "mix_head": "shared"},
    "l2-sp": {"body_weight": 0.1, "head_weight": 0.1, "view": "weak"},
    "bss": {"shrinkage_weight": 0.1, "smallest": 2, "view": "weak"},
    "delta": {"feature_weight": 0.1, "head_weight": 0.1, "view": "weak"},
    "stochnorm": {"probability": 1.0, "view": "weak"},
    "co-tuning": {
        "source_weight": 0.1,
        "view": "weak",
        "threshold": 0.9,
        "unlabeled_ratio": 3,
        "mix_head": "own",
    },
    "bi-tuning": {"contrast_weight": 0.1, "depth": 3, "width": 7, "temperature": 0.1, "view": "strong"},
    "self-tuning": {
        "contrast_weight": 0.1,
        "depth": 3,
        "width": 7,
        "temperature": 0.1,
        "threshold": 0.9,
        "unlabeled_ratio": 3,
        "view": "weak",
        "mix_head": "own",
    },
}
OTHER_MIXING = {
    "mix": "mixup",
    "eta": 0.7,
    "eta_power": 1.0,
    "mix_weight": 0.3,
    "mix_alpha": 0.3,
    "mix_ramp": "cosine",
    "mixed_by": "cutmix",
    "mix_mask": "none",
    "mix_view": "strong",
    "mix_norm": "shared",
    "mix_side": "major",
    "mix_halves": "both",
}
# Options that mean nothing to an algorithm: the ramp and the mask belong to guesses, the rest to mixing that
# is not its own.
OWN = {"mix_alpha", "mixed_by", "mix_mask", "mix_view", "mix_norm", "mix_side", "mix_halves"}
WITHOUT_EFFECT = {
    "supervised": {"mix_ramp", "mix_mask", "mix_view", "mix_side", "mix_halves"},
    "mixmatch": OWN,
    "remixmatch": OWN,
    **dict.fromkeys(("fine-tuning", "co-tuning", "self-tuning"), {"mix_view", "mix_mask"}),  # threshold 0
    **dict.fromkeys(
        ("pi-model", "mean-teacher", "vat"), {"mix_mask", "mix_view"}
    ),  # every guess counts, no strong view
    "pseudo-label": {"mix_view"},
}
BAD: dict[str, list[dict[str, Any]]] = {
    "supervised": [
        {"mixer": "mixpu"},
        {"loss": "dm-ce"},
        {"mixing": MixingTerms(mix="as")},
        {"regularizer_weight": -1.0},
        {"stop_mixing": 1.5},
        {"label_smoothing": 2.0},
        {"view": "stong"},
    ],
    "pseudo-label": [{"threshold": 1.5}, {"unlabeled_weight": -1.0}, {"ramp": -0.1}, {"unlabeled_ratio": 0}],
    "pi-model": [{"unlabeled_weight": -1.0}, {"ramp": 1.1}, {"unlabeled_ratio": 0.5}],
    "mean-teacher": [{"unlabeled_weight": -1.0}, {"ramp": 1.1}, {"unlabeled_ratio": 0}],
    "vat": [
        {"unlabeled_weight": -1.0},
        {"entropy_weight": -1.0},
        {"radius": 0.0},
        {"probe": 0.0},
        {"power_iterations": 0},
        {"ramp": 2.0},
        {"unlabeled_ratio": 0},
    ],
    "mixmatch": [
        {"temperature": 0.0},
        {"alpha": 0.0},
        {"lam_per": "image"},
        {"unlabeled_weight": -1.0},
        {"ramp": 2.0},
        {"unlabeled_ratio": 0},
    ],
    "remixmatch": [
        {"temperature": 0.0},
        {"alpha": 0.0},
        {"lam_per": "image"},
        {"average_decay": 1.1},
        {"unlabeled_weight": -1.0},
        {"unmixed_weight": -1.0},
        {"rotation_weight": -1.0},
        {"ramp": 2.0},
        {"unlabeled_ratio": 0},
    ],
    "uda": [
        {"threshold": 1.5},
        {"temperature": 0.0},
        {"unlabeled_weight": -1.0},
        {"tsa": "cosine"},
        {"tsa_confidence": "min"},
        {"tsa_mean": "all"},
        {"unlabeled_ratio": 0},
    ],
    "fixmatch": [{"threshold": 1.5}, {"threshold": -0.1}, {"unlabeled_weight": -1.0}, {"unlabeled_ratio": 0}],
    "flexmatch": [
        {"threshold": 1.5},
        {"mapping": "round"},
        {"unlabeled_weight": -1.0},
        {"unlabeled_ratio": 0},
    ],
    "freematch": [
        {"average_decay": 1.5},
        {"fairness_weight": -1.0},
        {"lowest_threshold": -0.1},
        {"highest_threshold": 1.1},
        {"lowest_threshold": 0.9, "highest_threshold": 0.8},
        {"unlabeled_weight": -1.0},
        {"unlabeled_ratio": 0},
    ],
    "softmatch": [
        {"average_decay": 1.5},
        {"sigmas": 0.0},
        {"unlabeled_weight": -1.0},
        {"unlabeled_ratio": 0},
    ],
}
TRANSFER_BAD = {"view": "plain"}, {"mix_head": "none"}, {"threshold": 1.5}, {"unlabeled_ratio": 0}
CONTRAST_BAD = {"contrast_weight": -1.0}, {"depth": 0}, {"width": 0}, {"temperature": 0.0}
BAD |= {
    "fine-tuning": [*TRANSFER_BAD],
    "l2-sp": [{"body_weight": -1.0}, {"head_weight": -1.0}, {"view": "plain"}],
    "bss": [{"shrinkage_weight": -1.0}, {"smallest": 0}, {"view": "plain"}],
    "delta": [{"feature_weight": -1.0}, {"head_weight": -1.0}, {"view": "plain"}],
    "stochnorm": [{"probability": 1.1}, {"view": "plain"}],
    "co-tuning": [{"source_weight": -1.0}, {"relationship": "none"}, *TRANSFER_BAD],
    "bi-tuning": [*CONTRAST_BAD, {"view": "plain"}],
    "self-tuning": [*CONTRAST_BAD, *TRANSFER_BAD],
}
each = pytest.mark.parametrize("name", list(ALGORITHMS))


def views(names: tuple[str, ...], count: int, seed: int) -> dict[str, Tensor]:
    """Noise, other noise for each view."""
    found = {}
    for name in names:
        generator = torch.Generator().manual_seed(10_000 * seed + sum(name.encode()))
        found[name] = torch.randn(count, 1, 8, 8, generator=generator)
    return found


def random_batch(algorithm: Algorithm, labeled: int = 16, unlabeled: int = 40) -> Batch:
    first = Samples(
        views(algorithm.labeled_views, labeled, 1), torch.arange(labeled), torch.arange(labeled) % CLASSES
    )
    if not algorithm.unlabeled_views:
        return Batch(first, None)
    return Batch(
        first, Samples(views(algorithm.unlabeled_views, unlabeled, 2), torch.arange(unlabeled), None)
    )


def network(algorithm: Algorithm) -> nn.Module:
    """A network whose guesses are of every class and all degrees of confidence: logits of mean 0 and
    deviation 1."""
    net = pretrained_network()
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        logits = net(torch.randn(256, 1, 8, 8))
        net.head.weight /= logits.std(0)[:, None]
        net.head.bias.copy_((net.head.bias - logits.mean(0)) / logits.std(0))
    return algorithm.extend(net, Task(CLASSES, 40, (1, 8, 8)))


def networks(algorithm: Algorithm) -> Nets:
    torch.manual_seed(3)
    return Nets(network(algorithm).train(), network(algorithm).eval())


def step(number: int = 6) -> Step:
    return Step(number, 12, torch.Generator().manual_seed(4))


def forward(algorithm: Algorithm, batch: Batch | None = None) -> StepOutput:
    output: StepOutput = algorithm(networks(algorithm), batch or random_batch(algorithm), step())
    return output


def tensors(value: Any) -> Iterator[Tensor]:
    """Every tensor in nested state."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from itertools.chain.from_iterable(map(tensors, value.values()))
    elif isinstance(value, (list, tuple)):
        yield from itertools.chain.from_iterable(map(tensors, value))


def timeless(record: dict[str, float]) -> dict[str, float]:
    """A record without what depends on the speed of the machine."""
    return {name: value for name, value in record.items() if "second" not in name and name != "data_wait"}


def same_bits(first: Any, second: Any) -> bool:
    left, right = list(tensors(first)), list(tensors(second))
    return len(left) == len(right) and all(map(torch.equal, left, right))


@both
def test_resumed_run_has_the_same_bits(name: str, keywords: dict[str, Any]) -> None:
    whole = make(ALGORITHMS[name](**keywords))
    records = [timeless(record) for record in whole.fit()]
    first = make(ALGORITHMS[name](**keywords))
    begun = []
    for record in first.fit():
        begun.append(record)
        break
    for raw in first.feed.batches(first.step):  # two more steps, off the beat of the records
        first.train_step(raw)
        if first.step == begun[0]["step"] + 2:
            break
    second = make(ALGORITHMS[name](**keywords))
    second.load_state_dict(first.state_dict())
    resumed = [timeless(record) for record in second.fit()]
    assert resumed == records[1:]
    state, expected = second.state_dict(), whole.state_dict()
    assert state["step"] == expected["step"] == 12
    for part in ("student", "teacher", "optimizer", "algorithm", "bank"):
        assert same_bits(state[part], expected[part]), part


@both
def test_a_run_depends_on_its_seed(name: str, keywords: dict[str, Any]) -> None:
    weights = []
    for seed in (0, 1):
        trainer = make(ALGORITHMS[name](**keywords), seed=seed)
        list(trainer.fit())
        weights.append(trainer.student.state_dict())
    assert not same_bits(*weights)


@both
def test_forward_changes_no_buffer_and_no_input(name: str, keywords: dict[str, Any]) -> None:
    algorithm = ALGORITHMS[name](**keywords)
    nets, batch = networks(algorithm), random_batch(algorithm)
    before = [t.clone() for t in tensors([algorithm.state_dict(), nets.teacher.state_dict(), list(batch)])]
    algorithm(nets, batch, step())
    after = list(tensors([algorithm.state_dict(), nets.teacher.state_dict(), list(batch)]))
    assert before and all(map(torch.equal, before, after))


@both
def test_teacher_gets_no_gradient_and_student_does(name: str, keywords: dict[str, Any]) -> None:
    algorithm = ALGORITHMS[name](**keywords)
    nets = networks(algorithm)
    algorithm(nets, random_batch(algorithm), step()).loss.backward()
    assert all(parameter.grad is None for parameter in nets.teacher.parameters())
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in nets.student.parameters())


@both
def test_loss_and_metrics_have_the_right_form(name: str, keywords: dict[str, Any]) -> None:
    output = forward(ALGORITHMS[name](**keywords))
    assert output.loss.ndim == 0 and output.loss.requires_grad
    assert all(value.ndim == 0 and not value.requires_grad for value in output.metrics.values())
    assert any(metric.startswith("loss/") for metric in output.metrics)
    assert not any(value.requires_grad for value in output.carry.values())


@each
def test_every_loss_term_is_nonzero_and_moves_the_network(name: str) -> None:
    algorithm = ALGORITHMS[name](**EVERYTHING[name][-1])
    output = forward(algorithm)
    terms = {metric: value for metric, value in output.metrics.items() if metric.startswith("loss/")}
    assert all(value != 0 for value in terms.values()), terms


def loss_of(name: str, keywords: dict[str, Any]) -> tuple[float, float, float, int]:
    """The loss of a step and of the next one, the running statistics behind them, and mu."""
    algorithm = ALGORITHMS[name](**keywords)
    nets, batch = networks(algorithm), random_batch(algorithm)
    first = algorithm(nets, batch, step())
    algorithm.commit(first.carry)
    second = algorithm(nets, batch, step())
    moved = sum(buffer.double().sum().item() for buffer in nets.student.buffers())
    return first.loss.item(), second.loss.item(), moved, algorithm.unlabeled_ratio


@each
def test_every_keyword_changes_something(name: str) -> None:
    base = EVERYTHING[name][-1]
    reference = loss_of(name, base)
    keywords = set(inspect.signature(ALGORITHMS[name]).parameters) - {"mixing"}
    learned_before = {"relationship"}  # by begin, which a step does not see
    assert keywords - learned_before == set(OTHER[name]), "every keyword needs another value to be tried"
    for keyword, value in OTHER[name].items():
        assert loss_of(name, {**base, keyword: value}) != reference, f"{keyword} is a dead knob"


@each
@pytest.mark.parametrize("option", [field.name for field in dataclasses.fields(MixingTerms)])
def test_every_mixing_option_changes_something(name: str, option: str) -> None:
    if option in WITHOUT_EFFECT.get(name, ()):
        pytest.skip(f"{option} means nothing to {name}")
    base = EVERYTHING[name][-1]
    if "mixing" not in base:
        pytest.skip(f"{name} mixes nothing")
    other = dataclasses.replace(base["mixing"], **{option: OTHER_MIXING[option]})
    assert loss_of(name, {**base, "mixing": other}) != loss_of(name, base)


@each
def test_a_view_to_be_mixed_must_be_there(name: str) -> None:
    if "mixing" not in inspect.signature(ALGORITHMS[name]).parameters:
        pytest.skip(f"{name} mixes nothing")
    mixing = MixingTerms(mix="as", mix_view="strong")
    needed = name in ("supervised", "pseudo-label", "pi-model", "mean-teacher", "vat")
    with pytest.raises(ValueError, match="mix_view|pseudo-labels") if needed else nullcontext():
        ALGORITHMS[name](mixing=mixing)


@both
@pytest.mark.parametrize(("labeled", "unlabeled"), [(1, 1), (1, 7), (3, 2), (7, 3)])
def test_odd_and_unequal_batches(name: str, keywords: dict[str, Any], labeled: int, unlabeled: int) -> None:
    algorithm = ALGORITHMS[name](**keywords)
    output = forward(algorithm, random_batch(algorithm, labeled, unlabeled))
    output.loss.backward()
    assert output.loss.isfinite()


@both
def test_bfloat16_is_close_to_float32(name: str, keywords: dict[str, Any]) -> None:
    algorithm = ALGORITHMS[name](**{**keywords, **({"threshold": 0.0} if "threshold" in keywords else {})})
    exact = forward(algorithm).loss
    with torch.autocast("cpu", torch.bfloat16):
        half = forward(algorithm).loss
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, exact, rtol=0.05, atol=0.05)


@each
def test_weight_zero_is_exactly_the_supervised_loss(name: str) -> None:
    weights = {k: 0.0 for k in inspect.signature(ALGORITHMS[name]).parameters if k.endswith("_weight")}
    output = forward(ALGORITHMS[name](**weights))
    assert torch.equal(output.loss.detach(), output.metrics["loss/labeled"])


@both
def test_overfits_a_small_set_through_the_public_interface(name: str, keywords: dict[str, Any]) -> None:
    algorithm = ALGORITHMS[name](**keywords)
    trainer = make(algorithm, per_class=8, steps=150, batch_size=16, log_every=50, eval_every=150)
    *_, last = trainer.fit()
    assert last["test_accuracy"] > 0.9


@each
def test_bad_arguments_are_refused_by_name(name: str) -> None:
    for keywords in BAD[name]:
        with pytest.raises(ValueError, match=next(iter(keywords)).removesuffix("ing")):
            ALGORITHMS[name](**keywords)


@both
def test_keywords_come_back_as_hyperparameters(name: str, keywords: dict[str, Any]) -> None:
    found = ALGORITHMS[name](**keywords).hyperparameters()
    assert {key: found[key] for key in keywords} == keywords


@both
@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_step_on_a_gpu_never_waits_for_it(name: str, keywords: dict[str, Any]) -> None:
    if name == "bss":
        pytest.skip("eigenvalues wait for the GPU")
    trainer = make(ALGORITHMS[name](**keywords), device="cuda")
    batches = trainer.feed.batches(0)
    trainer.train_step(next(batches))
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.train_step(next(batches))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.step == 2
