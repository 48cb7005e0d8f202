"""What the parser of a command's words refuses, in one sentence instead of a box."""

import contextlib
import functools
import inspect
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ssl_mix.errors import UserError, check_choice, nearest

LONGEST = 1e15  # of whole numbers that somebody means
FRAME = " |\u2500\u2502\u256d\u256e\u2570\u256f"  # what boxes are drawn with
VALUE = re.compile(r"Error parsing (--[\w-]+): .* Argument helptext: --[\w-]+ (.*)")
CHOICE = re.compile(r"invalid choice '(.*?)' for argument '(.*?)'\. Expected one of \((.*?)\)\.")
LACKING = re.compile(r"Missing value for argument '(.*?)'")
NEEDED = re.compile(r"(--[\w-]+ \S+|[A-Z]{3,}(?: \[\S+ \[\.\.\.\]\])?) (.*?) \(required\)")
UNKNOWN = re.compile(r"Unrecognized options: (.*?)(?: Perhaps you meant:| For full helptext|$)")


def parsed(function: Callable[..., Any], command: str, words: Sequence[str]) -> Callable[[], Any]:
    """The call that words behind the name of a command describe.

    Raises:
        ValueError: a mistake in the words.
        SystemExit: help was asked for, and printed.
    """
    import tyro

    @functools.wraps(function)
    def bound(*values: Any, **options: Any) -> Callable[[], Any]:
        return functools.partial(function, *values, **options)

    flat = (tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes)
    with in_one_sentence(command, words, inspect.signature(function).parameters):
        call: Callable[[], Any] = tyro.cli(bound, prog=f"ssl-mix {command}", args=list(words), config=flat)
    return call


@contextlib.contextmanager
def in_one_sentence(command: str, words: Sequence[str], options: Iterable[str]) -> Iterator[None]:
    """Within the block the parser's box about a mistake becomes an error of one sentence.

    Args:
        command: whose words.
        words: behind its name.
        options: the names of its options.

    Raises:
        ValueError: there is a mistake.
    """
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            yield
    except SystemExit as ended:
        if ended.code != 2:
            raise
        raise UserError(sentence(box.getvalue(), command, words, options)) from None


def sentence(box: str, command: str, words: Sequence[str], options: Iterable[str]) -> str:
    """What a box says: what was expected, what came, and the nearest name."""
    lines = [line.strip(FRAME) for line in box.splitlines()]
    told = " ".join(line for line in lines if line.strip("-"))
    if found := VALUE.search(told):
        return wrong_value(found[1], found[2], words)
    if found := CHOICE.search(told):
        known = re.findall(r"'(.*?)'", found[3])
        if "None" in known:  # the parser's word for an option that is left out, in the order of a set
            known = sorted({*known} - {"None"})
        with contextlib.suppress(IndexError):
            return refused_choice(found[2], found[1], known)
    if found := LACKING.search(told):
        return (
            f"{found[1]} needs a value{' behind it' * found[1].startswith('-')}: see ssl-mix {command} --help"
        )
    if found := UNKNOWN.search(told):
        return strange_word(re.split(r",? ", found[1])[0], command, options)
    if needed := NEEDED.findall(told.partition("Missing from")[2]):
        parts = " and ".join(f"{name} ({about.rstrip('.')})" for name, about in needed)
        return f"{command} needs {parts}"
    return told.partition(" For full helptext")[0]


def refused_choice(option: str, value: str, known: Sequence[str]) -> str:
    """What is wrong with a word that is none of those that an option knows."""
    try:
        check_choice(option, value, known)
    except UserError as error:
        return str(error)
    raise IndexError(value)


def wrong_value(option: str, about: str, words: Sequence[str]) -> str:
    """What is wrong with the value of an option, of which the help begins with what it takes."""
    kind = about.split()[0]
    several = "[" in kind
    kinds = {"INT": "a whole number", "FLOAT": "a number"}
    wanted = next((text for name, text in kinds.items() if name in kind), kind)
    wanted = wanted.replace("a ", "") + "s" if several else wanted
    values = values_of(option, words) if several else values_of(option, words)[:1]
    if several and len(values) == 1 and "," in values[0]:
        hint = f": write {' '.join(values[0].replace(',', ' ').split())}, with spaces"
    else:
        hint = next(filter(None, (meant(value, whole="INT" in kind) for value in values)), "")
    return f"{option} must be {wanted}, got {' '.join(values)!r}{hint}"


def values_of(option: str, words: Sequence[str]) -> list[str]:
    """The words that an option was given; of several times, the last."""
    found: list[str] = []
    for place, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.replace("_", "-") == option:
            rest = [value] if equals else list(words[place + 1 :])
            end = next((n for n, other in enumerate(rest) if other.startswith("--")), len(rest))
            found = rest[:end]
    return found


def meant(value: str, *, whole: bool) -> str:
    """A hint for a number that is written in another way, 1e3 for 1000 or 0,95 for 0.95."""
    try:
        number = float(value.replace(",", "."))
        better = (str(int(number)) if number == int(number) < LONGEST else "") if whole else f"{number:g}"
    except (ValueError, OverflowError):
        return ""
    return f": write {better}" if better and better != value else ""


def strange_word(word: str, command: str, options: Iterable[str]) -> str:
    """What is wrong with a word that a command does not know."""
    from ssl_mix.runs.data_options import PATHS  # which imports PyTorch

    name = word.lstrip("-").partition("=")[0].replace("-", "_")
    if word.startswith("--") and name in PATHS and "data_root" in options:
        return (
            f"{command} has no option {word}, for it takes the images of the run: name the folder above them "
            "with --data-root if they have moved, and put a link in the place of one that was renamed "
            "(ln -s NEW OLD)"
        )
    hint = nearest(name, options, quote="").replace("_", "-").replace("mean ", "mean --")
    if word.startswith("--"):
        return f"{command} has no option {word}.{hint}"
    hint = f".{hint}" if word.startswith("-") and hint else ""
    return f"{word!r} means nothing here: expected options that begin with --{hint}"
