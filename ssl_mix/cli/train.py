"""``ssl-mix train``: flags derived from the signatures of the algorithms, with the defaults of a recipe."""

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_type_hints

import tyro
from rich.table import Table

from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.cli.terminal import console, keep_freed_memory, reading_bar, say, training_bar, warn
from ssl_mix.engine.config import TrainConfig
from ssl_mix.errors import UserError, check_choice, nearest
from ssl_mix.mixing.terms import Mix, MixingTerms
from ssl_mix.recipes import RECIPES, Asked
from ssl_mix.reports import write_reports
from ssl_mix.reports.html import REPORT, summary_rows
from ssl_mix.runs.data_options import DataOptions
from ssl_mix.runs.net_options import NetOptions
from ssl_mix.runs.run import Run
from ssl_mix.runs.session import Session, start

_Made = TypeVar("_Made")
MUCH_WAITING = 0.2  # share of the training time
FLAT = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes, tyro.conf.CascadeSubcommandArgs)


def read_run(arguments: Sequence[str]) -> Run:
    """The run that ``ssl-mix train ARGUMENTS`` would start.

    Raises:
        ValueError: an option is out of range.
        SystemExit: a flag is unknown; a message is on stderr.
    """
    command = train_command(["train", *arguments], lambda run, *_: run)
    with own_words():
        run: Run = tyro.cli(command, prog="ssl-mix train", args=list(arguments), config=FLAT)
    return run


class _Refused(Exception):
    """Carries a UserError past the parser, which catches any ValueError and says what it takes for its
    cause."""


@contextmanager
def own_words() -> Iterator[None]:
    """Within the block a mistake in an option of ``train`` is told in our own words."""
    try:
        yield
    except _Refused as refused:
        raise UserError(str(refused)) from refused


def train_now(run: Run, out: Path, overwrite: bool, notes: Sequence[str]) -> None:
    """Start a run and train it to its end."""
    for note in notes:
        warn(note)
    with reading_bar() as progress:
        opened = start(run, out, overwrite=overwrite, progress=progress)
    finish(opened)


def train_command(
    arguments: Sequence[str], then: Callable[[Run, Path, bool, Sequence[str]], Any] = train_now
) -> Callable[..., Any]:
    """The ``train`` command with the defaults of the recipe that the arguments name.

    ``then`` gets the run, --out, --overwrite, and notes on arguments that mean nothing to this run.
    """
    name = _value_of("--recipe", arguments, "small")
    if name not in RECIPES:
        raise UserError(f"unknown recipe {name!r}: choose {', '.join(RECIPES)}.{nearest(name, RECIPES)}")
    algorithm = arguments[1] if arguments[1:2] and arguments[1] in ALGORITHMS else None
    size = _value_of("--image-size", arguments, "")
    asked = Asked(_value_of("--data", arguments, None), algorithm, int(size) if size.isdecimal() else None)
    if algorithm is not None:
        _check_mixes(algorithm, arguments)
    defaults = RECIPES[name](asked)
    if defaults.algorithm is not None and algorithm is not None:
        check_choice(f"with --recipe {name} the algorithm", algorithm, (defaults.algorithm,))
    choices = tuple(
        Annotated[
            cls, tyro.conf.subcommand(key, constructor=_with_defaults(cls, defaults.options.get(key, {})))
        ]
        for key, cls in ALGORITHMS.items()
    )
    algorithms: Any = Union[choices]  # noqa: UP007 (built from the registry)
    data_flags: Any = _group(defaults.data)
    net_flags: Any = _group(defaults.net)
    train_flags: Any = _group(defaults.config)
    recipes: Any = Literal[tuple(RECIPES)]

    def command(
        algorithm: algorithms,
        *,
        out: Path,
        data: data_flags,
        net: net_flags,
        config: train_flags,
        recipe: recipes = "small",
        overwrite: bool = False,
    ) -> Any:
        """Train a classifier from few labels.

        Args:
            algorithm: how to learn.
            out: folder of the run.
            data: the images.
            net: the network.
            config: how to train.
            recipe: defaults of the flags: "small" for runs up to about 10,000 steps, "paper" for the
                published settings of the algorithm, "recommended" and "openmixup" for transfer, and those of
                papers; ``ssl-mix list`` says what each is.
            overwrite: replace the run that --out holds.
        """
        del recipe
        return then(Run(algorithm, data, net, config), out, overwrite, _without_effect(algorithm, arguments))

    command.__doc__ = _unwrapped(command.__doc__)
    return command


def _without_effect(algorithm: Algorithm, arguments: Sequence[str]) -> list[str]:
    """A note for each option of mixing that is given to a run that does not mix."""
    mixing = getattr(algorithm, "mixing", None)
    if mixing is None or mixing.mix != "none" or getattr(algorithm, "loss", "").startswith("dm"):
        return []
    choices = ", ".join(get_args(Mix)[1:])
    return [
        f"{flag} has no effect with --mix none: choose {choices}"
        for flag in _mixing_flags(arguments)
        if flag != "--mix"
    ]


def _check_mixes(algorithm: str, arguments: Sequence[str]) -> None:
    """Raise where an algorithm that takes no mixing terms is given options of them."""
    mixing = [name for name, cls in ALGORITHMS.items() if "mixing" in inspect.signature(cls).parameters]
    given = _mixing_flags(arguments)
    if algorithm not in mixing and given:
        raise UserError(f"{algorithm} takes no mixing terms ({given[0]}); these do: {', '.join(mixing)}")


def _mixing_flags(arguments: Sequence[str]) -> list[str]:
    """The options of mixing among the arguments."""
    flags = ("--" + field.name.replace("_", "-") for field in dataclasses.fields(MixingTerms))
    return [flag for flag in flags if _value_of(flag, arguments, None) is not None]


def _value_of(flag: str, arguments: Sequence[str], default: str | None) -> Any:
    for position, argument in enumerate(arguments):
        if argument == flag and position + 1 < len(arguments):
            return arguments[position + 1]
        if argument.startswith(flag + "="):
            return argument.partition("=")[2]
    return default


def _group(defaults: DataOptions | NetOptions | TrainConfig) -> Any:
    """A group of flags with these defaults, as a type."""
    cls = type(defaults)
    return Annotated[cls, tyro.conf.arg(constructor=_with_defaults(cls, vars(defaults)))]


def _with_defaults(cls: type[_Made], defaults: dict[str, Any]) -> Callable[..., _Made]:
    """A function that makes an instance, with the docstring of the class and its signature but for other
    defaults."""

    def make(**keywords: Any) -> _Made:
        try:
            return cls(**keywords)
        except UserError as error:
            raise _Refused(error) from error

    signature = inspect.signature(cls)
    parameters = [p.replace(default=defaults.get(n, p.default)) for n, p in signature.parameters.items()]
    make.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    make.__annotations__ = get_type_hints(cls.__init__)
    make.__doc__ = _unwrapped(cls.__doc__)
    return make


def _unwrapped(docstring: str | None) -> str:
    """A docstring with the text of each argument in one line, for the parser to wrap."""
    return re.sub(r"\n {8}(?=\S)", " ", inspect.cleandoc(docstring or ""))


def finish(opened: Session) -> None:
    """Train with a live bar, then say what came out and what to type next."""
    for message in opened.notes:
        warn(message)
    trainer, folder = opened.trainer, opened.folder
    if trainer.device.type == "cpu":
        keep_freed_memory()
    name = type(trainer.algorithm).__name__
    split = trainer.split
    unused = "" if trainer.algorithm.unlabeled_views or not split.unlabeled else " (not used)"
    say(
        f"{name} on {trainer.data.name}: {len(split.labeled)} labeled, {len(split.validation)} held out and "
        f"{len(split.unlabeled)} unlabeled images{unused}, {len(trainer.data.classes)} classes, on "
        f"{trainer.device}; "
        f"step {trainer.step} of {trainer.config.steps}"
    )
    if trainer.step == 0 and type(trainer.algorithm).begin is not Algorithm.begin:
        say(f"{name} looks at all labeled images before the first step: many classes take a minute or more")
    with training_bar(name, trainer.config.steps, trainer.step) as show:
        for record in opened.records():
            show(record)
    summary = write_reports(opened)
    if not opened.finished:
        say(f"stopped after step {trainer.step}; go on with: ssl-mix resume {folder}")
        return
    if (summary.data_wait or 0.0) > MUCH_WAITING:
        warn(
            f"training waited {summary.data_wait:.0%} of its time for images to be read: keep them in "
            "memory (--memory-gb), or "
            "store smaller files"
        )
    test = "" if trainer.data.test else " --test DIR"
    table = Table(title=f"{name} on {trainer.data.name}", show_header=False)
    for row in summary_rows(summary):
        table.add_row(*row)
    console.print(table)
    say(
        f"Report  {folder / REPORT}\nCurves  tensorboard --logdir {folder}\n"
        f"Next    ssl-mix evaluate {folder}{test}\n        ssl-mix predict {folder} IMAGE... --out "
        "predictions.csv"
    )
