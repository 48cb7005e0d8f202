"""From the words of ``ssl-mix train`` to options by name.

Words are read twice. What the defaults are depends on the algorithm, the recipe and the data, wherever among
the words these stand: the first reading finds them, the second knows the defaults of flags that say yes or
no. All other options are only there if they were given.
"""

import contextlib
import dataclasses
import inspect
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_type_hints

import tyro

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli.help import FLAT, explain_mistake
from ssl_mix.cli.mistakes import in_one_sentence, strange_word
from ssl_mix.errors import UserError, check_choice
from ssl_mix.recipes import RECIPES
from ssl_mix.recipes.build import GROUPS, check_known, default_options, defaults_of, known_options, nested_in
from ssl_mix.recipes.recipe import Recipe
from ssl_mix.runs.own_algorithm import register
from ssl_mix.runs.run import NESTED

NONE = ""


class Words(NamedTuple):
    """What the words of ``ssl-mix train`` say.

    Attributes:
        algorithm: its name, "" where none is given.
        options: by name, those that were given, but for a yes or no that is the default.
        recipe: where the other options come from.
        out: folder of the run.
        overwrite: whether a run in that folder is replaced.
        help: which help is wanted, if any.
    """

    algorithm: str
    options: dict[str, Any]
    recipe: str
    out: Path | None
    overwrite: bool
    help: Literal["", "short", "all"]


def read_words(arguments: Sequence[str]) -> Words:
    """What the words behind ``ssl-mix train`` say, in whatever order.

    Raises:
        ValueError: an algorithm, a recipe or an option is unknown, or a value cannot be read as what the
            option takes.
    """
    first = arguments[0] if arguments and not arguments[0].startswith("-") else ""
    register(first)
    named = first if first in ALGORITHMS else NONE  # where it is told, no parser for every algorithm is made
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            words, unknown = _parse(arguments, {}, named)
    except SystemExit:  # a value of the wrong kind: the parser that knows all defaults tells it best
        with in_one_sentence("train", arguments, ()):
            explain_mistake(arguments)
        raise
    if words.help:
        if first and not words.algorithm:
            check_choice("algorithm", first, ALGORITHMS)
        return words
    check_choice("recipe", words.recipe, RECIPES)
    if words.algorithm:
        switches = _switches(words.algorithm, defaults_of(words.algorithm, words.options, words.recipe))
        with in_one_sentence("train", arguments, ()):
            words, unknown = _parse(arguments, switches, words.algorithm)
    _refuse(unknown, words.algorithm)
    return words


def _refuse(unknown: Sequence[str], algorithm: str) -> None:
    """Raise for words that mean nothing, or where there is no algorithm."""
    strange = next((word for word in unknown if not word.startswith("-")), None)
    if not algorithm and strange is None:
        raise UserError(f"expected an algorithm: choose {', '.join(ALGORITHMS)}")
    if not algorithm:
        check_choice("algorithm", str(strange), ALGORITHMS)
    for word in unknown:
        if not word.startswith("--"):
            raise UserError(strange_word(word, algorithm, known_options(algorithm)))
        check_known(algorithm, [word.partition("=")[0][2:].replace("-", "_")])


def _switches(algorithm: str, recipe: Recipe) -> dict[str, bool]:
    """The defaults of flags that say yes or no."""
    cls = ALGORITHMS[algorithm]
    own = {name: parameter.default for name, parameter in inspect.signature(cls).parameters.items()}
    for group in nested_in(cls):
        own |= default_options(cls, group)
    defaults = {**own, **vars(recipe.data), **vars(recipe.net), **vars(recipe.config), **recipe.options}
    return {name: value for name, value in defaults.items() if isinstance(value, bool)}


def _parse(
    arguments: Sequence[str], switches: Mapping[str, bool], named: str = NONE
) -> tuple[Words, list[str]]:
    """What is said and the words that mean nothing; flags that say yes or no count where ``switches`` has
    them.

    Where the algorithm is not ``named`` yet, each is a sub-command, whose flags are known behind it alone; a
    named one is a word like another, and its flags are known everywhere.
    """
    kinds = [ALGORITHMS[named] if named else _NoAlgorithm, *GROUPS.values()]
    own, data, net, training = (
        Annotated[cls, tyro.conf.arg(constructor=_collector(cls, switches))] for cls in kinds
    )

    word: Any = tyro.conf.Positional[str] if named else _sub_commands()
    nothing: Any = named or _NoAlgorithm()

    def command(
        algorithm: word = nothing,
        *,
        own: own,  # type: ignore[valid-type]
        data: data,  # type: ignore[valid-type]
        net: net,  # type: ignore[valid-type]
        training: training,  # type: ignore[valid-type]
        out: Path | None = None,
        recipe: str = "small",
        overwrite: bool = False,
        help: Annotated[bool, tyro.conf.arg(aliases=["-h"])] = False,
        help_all: bool = False,
    ) -> Words:
        behind = algorithm if isinstance(algorithm, dict) else {}
        name = named or behind.pop(NONE, NONE)
        wanted: Literal["", "short", "all"] = "all" if help_all else "short" if help else ""
        return Words(name, own | behind | data | net | training, recipe, out, overwrite, wanted)

    words, unknown = tyro.cli(
        command,
        prog="ssl-mix train",
        args=list(arguments),
        config=FLAT,
        add_help=False,
        return_unknown_args=True,
    )
    return words, unknown


def _sub_commands() -> Any:
    """A choice among all algorithms, or none."""
    choices = tuple(
        Annotated[cls, tyro.conf.subcommand(name, constructor=_collector(cls, {}, name))]
        for name, cls in ALGORITHMS.items()
    )
    nothing = Annotated[_NoAlgorithm, tyro.conf.subcommand("none", constructor=_NoAlgorithm)]
    known = (nothing, *choices)
    return Union[known]  # noqa: UP007 (built from the registry)


@dataclasses.dataclass(frozen=True)
class _NoAlgorithm:
    """No algorithm was named."""


def _collector(cls: type, switches: Mapping[str, bool], name: str | None = None) -> Callable[..., Any]:
    """A function with the keywords of ``cls`` that returns those that were given."""

    def collect(**keywords: Any) -> dict[str, Any]:
        same = {key: keywords[key] == switches.get(key, keywords[key]) for key in yes_or_no}
        given = {k: v for k, v in keywords.items() if v is not None and not same.get(k)}
        return given if name is None else {NONE: name, **given}

    flags = _flags_of(cls)
    yes_or_no = {key for key, hint in flags.items() if hint is bool}
    kinds: dict[str, Any] = {k: hint if k in yes_or_no else hint | None for k, hint in flags.items()}
    parameters = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kinds[key])
        for key in flags
        for default in [switches.get(key, False) if key in yes_or_no else None]
    ]
    collect.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    collect.__annotations__ = kinds
    return collect


def _flags_of(cls: type) -> dict[str, Any]:
    """Name and type of each option of a class, and of the groups that it shares with others."""
    hints = get_type_hints(cls.__init__)  # type: ignore[misc]
    flags = {name: hint for name, hint in hints.items() if name not in (*NESTED, "return")}
    for group in NESTED.keys() & hints.keys():
        flags |= _flags_of(NESTED[group])
    return flags
