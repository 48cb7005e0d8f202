"""What the keywords of every registered algorithm must do."""

import dataclasses
import functools
import inspect
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import torch
from algorithm_scene import forward, networks, random_batch, step
from algorithm_tables import (
    BAD,
    BESIDE,
    EVERYTHING,
    OTHER_MIXING,
    OTHER_TARGETS,
    REFUSED,
    adjusted,
    bad_values,
    both,
    each,
    everything,
    other_values,
    parameters,
)
from torch import Tensor

from ssl_mix import MixingTerms, UserError
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.errors import plain_hints
from ssl_mix.mixing.words import Mix
from ssl_mix.targets import Targets


def test_the_tables_name_algorithms_that_there_are() -> None:
    assert EVERYTHING.keys() | REFUSED.keys() | BAD.keys() <= ALGORITHMS.keys()


def traces(name: str, keywords: dict[str, Any]) -> Iterator[float]:
    """Mu, the loss of a step, its slope, the loss of the next one, and the running statistics."""
    algorithm: Any = ALGORITHMS[name](**keywords)
    yield algorithm.unlabeled_ratio
    nets, batch = networks(algorithm), random_batch(algorithm)
    first = algorithm(nets, batch, step())
    yield first.loss.item()
    first.loss.backward()
    slopes = [weight.grad for weight in nets.student.parameters() if weight.grad is not None]
    yield sum(gradient.double().abs().sum().item() for gradient in slopes)
    algorithm.commit(first.carry)
    yield algorithm(nets, batch, step()).loss.item()
    yield sum(buffer.double().sum().item() for buffer in nets.student.buffers())


@functools.cache
def base_traces(name: str) -> tuple[float, ...]:
    """Those of the last row of an algorithm, which each of its keywords is compared with."""
    return tuple(traces(name, everything(name)[-1]))


def leaves_another(name: str, keywords: dict[str, Any], base: tuple[float, ...]) -> bool:
    """Whether some trace differs; those after the first that does are not computed."""
    return any(one != other for one, other in zip(traces(name, keywords), base, strict=False))


@functools.cache
def base_pseudo_labels(name: str, balanced: bool) -> list[Tensor]:
    """The pseudo-labels with all that may become of them, which each option is compared with."""
    base = adjusted(name)
    targets = base["targets"] if balanced else dataclasses.replace(base["targets"], balance_classes=False)
    return pseudo_labels(name, {**base, "targets": targets})


def changes_something(name: str, keyword: str) -> bool:
    """Whether some other value of a keyword changes the losses; values that do not go with the others do not
    count."""
    base = BESIDE.get((name, keyword), everything(name)[-1])
    before = tuple(traces(name, base)) if (name, keyword) in BESIDE else base_traces(name)
    for value in other_values(name, keyword, ALGORITHMS[name](**base).hyperparameters()[keyword]):
        with suppress(UserError):
            if leaves_another(name, {**base, keyword: value}, before):
                return True
    return False


@each
def test_a_keyword_of_another_type_is_refused_by_its_name(name: str) -> None:
    keywords = plain_hints(ALGORITHMS[name].__init__)
    assert keywords
    for keyword in keywords:
        for value in ({}, object()):
            with pytest.raises(UserError, match=f"^{keyword} must be "):
                ALGORITHMS[name](**{keyword: value})


@each
def test_every_keyword_changes_something(name: str) -> None:
    learned_before = {"relationship", "teachers"}  # which a step does not see
    keywords = set(parameters(name)) - learned_before
    dead = [key for key in sorted(keywords) if not changes_something(name, key)]
    assert dead == []


@each
@pytest.mark.parametrize("option", [field.name for field in dataclasses.fields(MixingTerms)])
def test_every_mixing_option_changes_something(name: str, option: str) -> None:
    base = everything(name)[-1]
    if "mixing" not in base or name not in EVERYTHING:
        pytest.skip(f"{name} mixes nothing, or is not in the table")
    value = OTHER_MIXING[option]
    if value == getattr(base["mixing"], option):
        value = "none" if option == "mix_ramp" else getattr(MixingTerms(), option)
    other = dataclasses.replace(base["mixing"], **{option: value})
    if option in REFUSED.get(name, ()):
        with pytest.raises(UserError, match=option):
            ALGORITHMS[name](**{**base, "mixing": other})
        return
    assert leaves_another(name, {**base, "mixing": other}, base_traces(name))


@each
@pytest.mark.parametrize("option", [field.name for field in dataclasses.fields(Targets)])
def test_every_option_of_targets_changes_something(name: str, option: str) -> None:
    base = adjusted(name)
    if not base:
        pytest.skip(f"{name} makes no pseudo-labels")
    if option in REFUSED.get(name, ()):
        value = OTHER_TARGETS[option] or True
        with pytest.raises(
            UserError, match=f"`{option}.*`.*and {ALGORITHMS[name].__name__} .*: leave it out"
        ):
            ALGORITHMS[name](**{**base, "targets": Targets(**{option: value})})
        return
    if option == "adaptive_thresholds":  # which goes with all but this one
        base = {**base, "targets": dataclasses.replace(base["targets"], balance_classes=False)}
    other = dataclasses.replace(base["targets"], **{option: OTHER_TARGETS[option]})
    expected = base_pseudo_labels(name, option != "adaptive_thresholds")
    assert not all(map(torch.equal, pseudo_labels(name, {**base, "targets": other}), expected))


def pseudo_labels(name: str, keywords: dict[str, Any]) -> list[Tensor]:
    """Class, confidence and mask of the pseudo-labels of a second step."""
    algorithm: Any = ALGORITHMS[name](**keywords)
    nets, batch = networks(algorithm), random_batch(algorithm)
    algorithm.commit(algorithm(nets, batch, step()).carry)
    return list(algorithm(nets, batch, step()).pseudo[1:])


@pytest.mark.parametrize("name", ["vat", "fine-tuning", "co-tuning"])
@pytest.mark.parametrize("mix", ["none", "dm"])
@pytest.mark.parametrize("targets", [Targets(align="uniform"), Targets(smooth_targets=0.1)], ids=str)
def test_targets_are_refused_where_there_are_no_pseudo_labels(name: str, mix: Mix, targets: Targets) -> None:
    with pytest.raises(UserError, match=r"`(align|smooth_targets)` concerns pseudo-labels, and .*`mix=as`"):
        ALGORITHMS[name](mixing=mix, targets=targets)


@pytest.mark.parametrize("name", ["pi-model", "mean-teacher", "vat", "self-tuning"])
def test_classes_are_balanced_where_pseudo_labels_are_chosen(name: str) -> None:
    balanced: dict[str, Any] = {"targets": Targets(balance_classes=True)}
    with pytest.raises(UserError, match="`(balance_classes|mix=as)`"):
        ALGORITHMS[name](**balanced)
    with pytest.raises(UserError, match="`balance_classes` chooses which"):
        ALGORITHMS[name](mixing=MixingTerms.openmixup(), **balanced)  # counts them all
    ALGORITHMS[name](mixing="as", **balanced)


@each
def test_bad_arguments_are_refused_by_name(name: str) -> None:
    for keywords in bad_values(name):
        with pytest.raises(ValueError, match=next(iter(keywords)).removesuffix("ing")):
            ALGORITHMS[name](**keywords)


@both
def test_keywords_come_back_as_hyperparameters(name: str, keywords: dict[str, Any]) -> None:
    found = ALGORITHMS[name](**keywords).hyperparameters()
    assert {key: found[key] for key in keywords} == keywords


@each
def test_weight_zero_is_exactly_the_supervised_loss(name: str) -> None:
    weights = {k: 0.0 for k in inspect.signature(ALGORITHMS[name]).parameters if k.endswith("_weight")}
    output = forward(ALGORITHMS[name](**weights))
    assert torch.equal(output.loss.detach(), output.metrics["loss/labeled"])


@each
def test_a_word_is_mixing_terms_too(name: str) -> None:
    if "mixing" not in inspect.signature(ALGORITHMS[name]).parameters:
        pytest.skip(f"{name} mixes nothing")
    assert ALGORITHMS[name](mixing="dm").hyperparameters()["mixing"] == MixingTerms(mix="dm")
