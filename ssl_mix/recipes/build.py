"""The one way from words to a run: an algorithm's name and options by name, for the command line and for
Python."""

import dataclasses
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError, check_choice, check_kinds, nearest, plain_hints
from ssl_mix.mixing.terms import MixingTerms
from ssl_mix.recipes import RECIPES
from ssl_mix.recipes.inert import check_effects, inert_notes
from ssl_mix.recipes.recipe import Recipe, Request
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.own_algorithm import register
from ssl_mix.runs.run import NESTED, Run

GROUPS: dict[str, type] = {"data": DataOptions, "network": NetOptions, "optimization": TrainConfig}
# On these the defaults of a recipe depend.
DECIDED_BY = Request._fields[1:]


class Built(NamedTuple):
    """A run and what to tell about it.

    Attributes:
        run: the run.
        notes: why defaults are as they are, and options of the data that the algorithm does not read.
    """

    run: Run
    notes: tuple[str, ...]


def build_run(algorithm: str, options: Mapping[str, Any], recipe: str = "small") -> Built:
    """The run that an algorithm's name and some options describe; what is not given is the recipe's.

    Args:
        algorithm: a name in ``ALGORITHMS``, or "MODULE:CLASS".
        options: values by name, of the data, the network, the optimization, the algorithm and its mixing
            terms.
        recipe: a name in ``RECIPES``.

    Raises:
        ValueError: a name is unknown, an option belongs to other algorithms or has no effect beside another
            one, or a value is out of range.
    """
    options = {
        name: value.item() if isinstance(value, np.generic) else value for name, value in options.items()
    }
    defaults = defaults_of(algorithm, options, recipe)
    known = {name: set(fields_of(cls)) for name, cls in GROUPS.items()}
    own = options.keys() - set().union(*known.values())
    parts: dict[str, Any] = {
        name: dataclasses.replace(
            getattr(defaults, _FIELDS[name]), **{key: options[key] for key in options.keys() & known[name]}
        )
        for name in GROUPS
    }
    made = _build_algorithm(algorithm, {**defaults.options, **{key: options[key] for key in own}})
    run = Run(made, parts["data"], parts["network"], parts["optimization"])
    check_effects(run, options)
    if "norms" in options:
        run.net.check_norms()
    return Built(run, (*_reasons(run, defaults, options), *inert_notes(run, options)))


def hints_of(algorithm: str) -> dict[str, Any]:
    """The type of each option of a run of an algorithm, but for choices, which are told with the nearest."""
    cls = ALGORITHMS[algorithm]
    classes = [cls, *(NESTED[group] for group in nested_in(cls)), *GROUPS.values()]
    return {name: hint for kind in classes for name, hint in plain_hints(kind.__init__).items()}  # type: ignore[misc]


_FIELDS = {"data": "data", "network": "net", "optimization": "config"}


def defaults_of(algorithm: str, options: Mapping[str, Any], recipe: str) -> Recipe:
    """What a recipe sets for an algorithm, given the options that it depends on."""
    check_choice("recipe", recipe, RECIPES)
    register(algorithm)
    check_choice("algorithm", algorithm, ALGORITHMS)
    check_kinds(options, hints_of(algorithm))
    return RECIPES[recipe](Request(algorithm, *(options.get(name) for name in DECIDED_BY)))


def fields_of(cls: type) -> Sequence[str]:
    """The names of a constructor's keywords."""
    return tuple(inspect.signature(cls).parameters)


def takes_mixing(algorithm: type[Algorithm]) -> bool:
    """Whether the algorithm has mixing terms."""
    return "mixing" in fields_of(algorithm)


def options_of(algorithm: type[Algorithm]) -> tuple[str, ...]:
    """The names of the algorithm's own options, and those of its mixing terms and targets."""
    own = tuple(name for name in fields_of(algorithm) if name not in NESTED)
    return (*own, *(name for group in nested_in(algorithm) for name in fields_of(NESTED[group])))


def nested_in(algorithm: type[Algorithm]) -> tuple[str, ...]:
    """The groups of options that the algorithm shares with others: "mixing", "targets"."""
    return tuple(group for group in NESTED if group in fields_of(algorithm))


def _build_algorithm(name: str, options: dict[str, Any]) -> Algorithm:
    cls = ALGORITHMS[name]
    check_known(name, options)
    for group in nested_in(cls):
        given = {key: options.pop(key) for key in fields_of(NESTED[group]) if key in options}
        options.setdefault(group, NESTED[group](**default_options(cls, group) | given))
    return cls(**options)


def default_options(algorithm: type, group: str) -> dict[str, Any]:
    """What an algorithm sets in a group of shared options unless told otherwise."""
    default = inspect.signature(algorithm).parameters[group].default
    return dict(vars(default)) if isinstance(default, NESTED[group]) else {}


def check_known(name: str, options: Iterable[str]) -> None:
    """Raise for an option that the algorithm does not have."""
    cls = ALGORITHMS[name]
    known = {*options_of(cls), *nested_in(cls)}
    for option in options:
        if option in known:
            continue
        if option in fields_of(MixingTerms):
            others = ", ".join(key for key, other in ALGORITHMS.items() if takes_mixing(other))
            raise UserError(f"{name} takes no mixing terms (`{option}`); these do: {others}")
        others = ", ".join(key for key, other in ALGORITHMS.items() if option in options_of(other))
        if others:
            raise UserError(f"{name} has no `{option}`; these have: {others}")
        raise UserError(f"{name} has no option `{option}`.{nearest(option, known_options(name), quote='`')}")


def known_options(name: str) -> list[str]:
    """All options of a run of an algorithm."""
    cls = ALGORITHMS[name]
    own = (*options_of(cls), *nested_in(cls))
    return [*own, *(field for group in GROUPS.values() for field in fields_of(group))]


def _reasons(run: Run, defaults: Recipe, options: Mapping[str, Any]) -> list[str]:
    """One note of the defaults that the weights decided, each with its reason; options that were given are
    none."""
    values = {**vars(run.data), **vars(run.net), **vars(run.config), **run.algorithm.hyperparameters()}
    told = [
        f"`{name}={values[name]}` ({reason})"
        for name, reason in defaults.reasons.items()
        if name not in options
    ]
    return [f"defaults for a start from weights: {', '.join(told)}"] if told else []
