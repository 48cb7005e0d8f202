"""The ``ssl-mix`` command: which word starts what. A command's code is imported when it is called."""

import importlib
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ssl_mix._version import __version__
from ssl_mix.errors import UserError, nearest


class Command(NamedTuple):
    """One command.

    Attributes:
        place: module and function that it is, within ``ssl_mix.cli``. The function takes the words behind the
            command's name, or options that its signature describes.
        about: what it does.
        own_words: whether the function reads the words by itself.
    """

    place: str
    about: str
    own_words: bool = False


COMMANDS = {
    "demo": Command("demo:demo", "compare four ways to learn from the same few labels"),
    "train": Command("train:train", "train a classifier from few labels", own_words=True),
    "auto": Command("auto:auto", "learn by what cross-validation over the labels finds best", own_words=True),
    "check": Command(
        "check:check", "read everything that train would, and say what it would do", own_words=True
    ),
    "resume": Command("use:resume", "go on with a run that was stopped or killed, to the same bits"),
    "evaluate": Command("use:evaluate_command", "test accuracy of a run, in all and by class"),
    "predict": Command("use:predict_command", "classify images into a CSV file"),
    "pseudo-labels": Command("use:pseudo_labels", "write what a run predicted for each unlabeled image"),
    "show-mixers": Command("show_mixers:show_mixers", "draw what every mixer does to images of yours"),
    "list": Command("use:list_command", "algorithms, mixing, mixers, networks, data sets, recipes"),
}
HELP = ("-h", "--help")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake of the user ends with one message on stderr and exit status 2.

    Args:
        arguments: default: those of the process. ``--debug`` before the command shows the traceback of such a
            mistake.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = given[:1] == ["--debug"]
    drawn = random.getstate()  # the terminal's library draws from it
    try:
        with warnings.catch_warnings():
            run_command(given[debug:])
    except (
        UserError,
        OSError,
    ) as error:  # an OSError: a missing folder, a full disk
        if debug:
            raise
        from ssl_mix.cli.terminal import as_flags

        print(f"ssl-mix: {as_flags(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        if debug:
            raise
        print("ssl-mix: interrupted", file=sys.stderr)
        sys.exit(130)  # as shells report a command ended by Ctrl-C
    finally:
        random.setstate(drawn)


def run_command(words: Sequence[str]) -> None:
    """Run the command that the first word names.

    Raises:
        ValueError: there is no such command, or a mistake in its options.
    """
    if not words or words[0] in HELP:
        print(usage())
        return
    if words[0] == "--version":
        print(f"ssl-mix {__version__}")
        return
    if words[0] not in COMMANDS:
        raise UserError(
            f"unknown command {words[0]!r}: choose {', '.join(COMMANDS)}.{nearest(words[0], COMMANDS)}"
        )
    function, command = imported(words[0]), COMMANDS[words[0]]
    if command.own_words:
        function(words[1:])
        return
    import tyro

    flat = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes)
    tyro.cli(function, prog=f"ssl-mix {words[0]}", args=list(words[1:]), config=flat)


def imported(name: str) -> Callable[..., Any]:
    """The function of a command. From now on warnings are notes on stderr."""
    from ssl_mix.cli.terminal import warn

    warnings.showwarning = lambda message, *_: warn(str(message))
    module, _, function = COMMANDS[name].place.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(f"ssl_mix.cli.{module}"), function)
    return found


def usage() -> str:
    """What ``ssl-mix --help`` prints."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.about}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: ssl-mix [--debug] COMMAND ...",
            "",
            "Learn image classifiers from few labels.",
            "",
            *lines,
            "",
            "ssl-mix COMMAND --help explains a command; ssl-mix --version prints the version.",
        ]
    )
