"""The ``ssl-mix`` command: which word starts what. A command's code is imported when it is called."""

import errno
import importlib
import os
import random
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ssl_mix._version import __version__
from ssl_mix.cli.processes import one_of_many
from ssl_mix.cli.signature import signature_only, unwrapped
from ssl_mix.errors import UserError, nearest
from ssl_mix.runs.stopping import Stopped, stop_at_once
from ssl_mix.shell import at_home

NO_MEMORY = ("can't allocate memory", "out of memory")  # as PyTorch says it of CPUs and of GPUs
NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
INTERRUPTED, PIPE_CLOSED = 130, 141  # exit statuses as shells report them: 128 and the number of the signal


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
    "evaluate": Command("evaluate:evaluate_command", "how good a run is on images with labels"),
    "predict": Command("use:predict_command", "classify images into a CSV file"),
    "export": Command("export:export_command", "write a trained network for use without this package"),
    "pseudo-labels": Command("use:pseudo_labels", "write what a run predicted for each unlabeled image"),
    "report": Command("report:report", "one page about one or several runs, to look at and to pass on"),
    "compare": Command("report:compare_command", "a table of several runs with paired differences"),
    "suggest": Command("suggest:suggest", "choose which unlabeled images to label next"),
    "audit": Command("audit:audit", "find labels that are probably wrong"),
    "transfer": Command("transfer:transfer", "train a network on masks, and score its segmentations"),
    "show-mixers": Command("show_mixers:show_mixers", "draw what every mixer does to images of yours"),
    "list": Command("use:list_command", "algorithms, mixing, mixers, networks, data sets, recipes"),
}
HELP = ("-h", "--help")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; a mistake of the user ends with one message on stderr and exit status 2.

    A signal ends it with the status that shells expect of it, 130 after Ctrl-C and 143 after SIGTERM, and so
    does, without a message, a pipe that nobody reads any more (141).

    Args:
        arguments: default: those of the process. ``--debug`` before the command shows the traceback of such a
            mistake.
    """
    given = [word_at_home(word) for word in (sys.argv[1:] if arguments is None else arguments)]
    debug, hook = given[:1] == ["--debug"], threading.excepthook
    drawn = random.getstate()  # the terminal's library draws from it
    try:
        try:
            with warnings.catch_warnings(), stop_at_once(), one_of_many(given[debug:]):
                run_command(given[debug:])
        except BrokenPipeError:
            raise
        except (UserError, OSError, MemoryError, RuntimeError) as error:  # an OSError: a full disk, no folder
            if debug or not (message := message_of(error)):
                raise
            print(f"ssl-mix: {message}", file=sys.stderr)
            sys.exit(2)
        except KeyboardInterrupt as stopped:
            if debug:
                raise
            print("ssl-mix: interrupted", file=sys.stderr)
            sys.exit(stopped.status if isinstance(stopped, Stopped) else INTERRUPTED)
        finally:
            threading.excepthook = hook
            random.setstate(drawn)
            flush_output()
    except BrokenPipeError:
        sys.exit(PIPE_CLOSED)


def word_at_home(word: str) -> str:
    """``--option=~/x``, and ``'~/x'`` in quotes, with the home that shells leave there."""
    option, equals, value = word.partition("=")
    found: str = f"{option}={at_home(value)}" if word.startswith("--") and equals else at_home(word)
    return found


def message_of(error: Exception) -> str:
    """What the user must be told of an error in place of a traceback; "" where it is no mistake of theirs."""
    if isinstance(error, UserError | OSError):
        from ssl_mix.cli.terminal import as_flags

        return as_flags(of_system(error) if isinstance(error, OSError) else str(error))
    if isinstance(error, MemoryError) or any(sign in str(error) for sign in NO_MEMORY):
        return "the memory does not suffice: lower --batch-size, --image-size or what else makes a step large"
    return ""


def of_system(error: OSError) -> str:
    """What the system refused, of which file, without its number."""
    if error.errno is None or error.strerror is None:
        return str(error)
    of = f"{error.filename}: " if error.filename is not None else ""
    if error.errno in NO_SPACE:
        return (
            f"{of}the disk is full, or the file may not be as large: free some space, or take another `out`"
        )
    return of + error.strerror.lower()


def flush_output() -> None:
    """Write out what is printed; a pipe that nobody reads any more becomes one that swallows everything.

    Raises:
        BrokenPipeError: there is such a pipe.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except BrokenPipeError:
            with open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())  # or Python complains when it exits
            raise


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
    if words[0].startswith("-"):
        behind = next((word for word in words if word in COMMANDS), "COMMAND")
        raise UserError(
            f"expected a command before {words[0]}: its options stand behind it, ssl-mix {behind} "
            f"{words[0]} ..."
        )
    if words[0] not in COMMANDS:
        raise UserError(
            f"unknown command {words[0]!r}: choose {', '.join(COMMANDS)}.{nearest(words[0], COMMANDS)}"
        )
    command = COMMANDS[words[0]]
    if command.own_words:
        imported(words[0])(words[1:])
        return
    function = (explained(words[0]) if {*HELP} & {*words[1:]} else None) or imported(words[0])
    function.__doc__ = unwrapped(function.__doc__)
    from ssl_mix.cli.mistakes import parsed

    parsed(function, words[0], words[1:])()


def explained(name: str) -> Callable[..., Any] | None:
    """What the help of a command needs of its function, where that takes no import of what it does."""
    module, _, function = COMMANDS[name].place.partition(":")
    return signature_only(Path(__file__).with_name(f"{module}.py"), function)


def imported(name: str) -> Callable[..., Any]:
    """The function of a command. From now on warnings, and errors in the background, are notes on stderr."""
    from ssl_mix.cli.terminal import warn

    warnings.showwarning = lambda message, *_: warn(str(message))
    threading.excepthook = lambda failed: warn(f"{failed.exc_value}")
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
