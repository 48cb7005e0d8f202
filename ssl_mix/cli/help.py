"""The help of ``ssl-mix train``: the flags that most people set, or all of them."""

import contextlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_type_hints

import tyro
from rich.table import Table

from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli.signature import unwrapped
from ssl_mix.cli.terminal import as_flags, console, say
from ssl_mix.engine.config import TrainConfig
from ssl_mix.recipes import RECIPES
from ssl_mix.recipes.build import GROUPS, default_options, fields_of, nested_in
from ssl_mix.recipes.recipe import Recipe
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.run import NESTED

FLAT = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes, tyro.conf.CascadeSubcommandArgs)
FIRST = ("data", "labeled", "unlabeled", "test", "net", "mix", "steps", "out")  # what most people set
ABOUT = {
    "train": "Train a classifier from few labels.",
    "check": "Read everything that training would, and say what it would do, without doing it.",
}
Made = TypeVar("Made")


def print_help(algorithm: str, recipe: Recipe, *, every: bool, command: str = "train") -> None:
    """Explain the options of ``ssl-mix train``, with the defaults of a recipe.

    Args:
        algorithm: whose options; "" for those of all algorithms alone.
        recipe: the defaults.
        every: explain every option, else the first ones, and name the others by group.
        command: whose help it is.
    """
    prog = f"ssl-mix {command} {algorithm or 'ALGORITHM'}"
    if not algorithm:
        print_registry("Algorithms", ALGORITHMS)
    about = first_paragraph(ALGORITHMS[algorithm]) if algorithm else ABOUT[command]
    shown = documented(algorithm, recipe, None if every else FIRST, out_needed=command != "check")
    with contextlib.suppress(SystemExit):
        tyro.cli(shown, prog=prog, args=["--help"], description=about, config=FLAT)
    if not every:
        say("More options, which --help-all explains:")
        for group, names in option_groups(algorithm).items():
            say(f"  {group}: {' '.join('--' + n.replace('_', '-') for n in names if n not in FIRST)}")


def option_groups(algorithm: str) -> dict[str, tuple[str, ...]]:
    """The names of all options by group."""
    groups = {name: tuple(fields_of(cls)) for name, cls in GROUPS.items()}
    if algorithm:
        cls = ALGORITHMS[algorithm]
        own = tuple(name for name in fields_of(cls) if name not in NESTED)
        shared = {group: tuple(fields_of(NESTED[group])) for group in nested_in(cls)}
        first = {"data": groups.pop("data"), "network": groups.pop("network"), "algorithm": own}
        groups = first | shared | groups
    return {**groups, "run": ("recipe", "out", "overwrite")}


def explain_mistake(arguments: Sequence[str]) -> None:
    """Tell what is wrong with a value, on stderr; ends the process with status 2."""
    choices = tuple(
        Annotated[cls, tyro.conf.subcommand(name, constructor=with_defaults(cls, {}))]
        for name, cls in ALGORITHMS.items()
    )
    recipe = Recipe(DataOptions(), NetOptions(), TrainConfig())
    command = documented("", recipe, None, Union[choices])  # noqa: UP007 (built from the registry)
    arguments = [*arguments, "--out", "x"]  # so that a folder that is missing is not what is told
    tyro.cli(command, prog="ssl-mix train", args=list(arguments), config=FLAT)


def documented(
    algorithm: str,
    recipe: Recipe,
    only: Sequence[str] | None,
    algorithms: Any = None,
    *,
    out_needed: bool = True,
) -> Callable[..., None]:
    """A function whose signature is all options with a recipe's defaults, or ``only`` some of them."""

    def group(values: Any) -> Any:
        cls = type(values)
        return Annotated[cls, tyro.conf.arg(constructor=with_defaults(cls, vars(values), only))]

    types = {"data": group(recipe.data), "network": group(recipe.net), "optimization": group(recipe.config)}
    if algorithm:
        cls: Any = ALGORITHMS[algorithm]
        own: Any = Annotated[cls, tyro.conf.arg(constructor=with_defaults(cls, recipe.options, only))]
        types = {"data": types.pop("data"), "network": types.pop("network"), "algorithm": own, **types}
    if algorithms is not None:
        types = {"algorithm": algorithms, **types}
    folder: Any = Path if out_needed else _shown(Path | None, None)
    types |= {"out": folder, **({} if only else {"recipe": Literal[tuple(RECIPES)], "overwrite": bool})}
    standard: dict[str, Any] = {
        "recipe": "small",
        "overwrite": False,
        **({} if out_needed else {"out": None}),
    }

    def command(**given: Any) -> None:
        del given

    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                annotation=kind,
                default=standard.get(name, inspect.Parameter.empty),
            )
            for name, kind in types.items()
        ]
    )
    command.__annotations__ = types
    command.__doc__ = _RUN_OPTIONS
    return command


_RUN_OPTIONS = """Train a classifier from few labels.

Args:
    out: folder of the run.
    recipe: where defaults come from: "small" for runs up to about 10,000 steps, "paper" for the published settings of the algorithm, "recommended" for transfer; the others are of papers for supervised training, see ``ssl-mix list recipes``.
    overwrite: replace the run that the folder holds.
"""  # noqa: E501 (one line an option, for the parser to wrap)


def with_defaults(
    cls: type[Made], defaults: Mapping[str, Any], only: Sequence[str] | None = None
) -> Callable[..., Made]:
    """A function that makes an instance, with the docstring of the class and its signature but for
    defaults."""

    def make(**keywords: Any) -> Made:
        return cls(**keywords)

    hints = get_type_hints(cls.__init__)
    parameters = []
    for name, parameter in inspect.signature(cls).parameters.items():
        if name in NESTED:
            group: Any = NESTED[name]
            shared = with_defaults(group, default_options(cls, name) | dict(defaults), only)
            kind: Any = Annotated[group, tyro.conf.arg(constructor=shared)]
            parameters.append(parameter.replace(annotation=kind, default=inspect.Parameter.empty))
        elif only is None or name in only:
            value = defaults.get(name, parameter.default)
            parameters.append(parameter.replace(annotation=_shown(hints[name], value), default=value))
    make.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    make.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    make.__doc__ = _unwrapped(cls.__doc__)
    return make


def _shown(hint: Any, value: Any) -> Any:
    """The type of an option, without "None" in its help where that only means that it is not given."""
    kinds = [kind for kind in get_args(hint) if kind is not type(None)]
    if value is not None or len(kinds) != 1 or not isinstance(kinds[0], type):
        return hint
    return Annotated[hint, tyro.conf.arg(metavar=kinds[0].__name__.upper(), help_behavior_hint="(optional)")]


def _unwrapped(docstring: str | None) -> str:
    """A docstring with the text of each argument in one line, for the parser to wrap, and flags for
    arguments."""
    text = re.sub(rf"``({'|'.join(NESTED)})``", r"\1", unwrapped(docstring))  # groups, which are no flags
    names = re.findall(r"^    (\w+): ", text, re.MULTILINE)
    return as_flags(re.sub(rf"``({'|'.join(names)})``", r"`\1`", text)) if names else text


def first_paragraph(thing: object) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def print_registry(title: str, registry: Mapping[str, Any]) -> None:
    """Names with what their docstrings begin with."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, thing in registry.items():
        table.add_row(name, thing if isinstance(thing, str) else first_paragraph(thing))
    console.print(table)
