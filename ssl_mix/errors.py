"""The one exception for mistakes that a user can mend."""

import difflib
import functools
import inspect
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

P = ParamSpec("P")
R = TypeVar("R")
SEEDS = 2**63


class UserError(ValueError):
    """Bad input: the message says what was expected, what came and what to do. The command line prints it and
    exits with 2."""


def nearest(name: str, known: Iterable[str], quote: str = "'") -> str:
    """ " Did you mean 'x'?" for the known name closest to ``name``, or an empty string."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {quote}{match[0]}{quote}?" if match else ""


def check_choice(name: str, value: str, known: Iterable[str]) -> None:
    """Raise unless ``value`` is one of ``known``; the message names the nearest."""
    if not isinstance(value, str):
        raise UserError(f"{name} must be one of {', '.join(known)}, got {type(value).__name__}")
    if value not in known:
        raise UserError(f"{name} must be one of {', '.join(known)}, got {value!r}.{nearest(value, known)}")


def check_number(name: str, value: object) -> None:
    """Raise unless ``value`` is a real number, of Python or NumPy."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise UserError(f"{name} must be a number, got {type(value).__name__} {value!r:.40}")


def check_kinds(values: Mapping[str, object], hints: Mapping[str, Any]) -> None:
    """Raise unless each value is of a kind that the type hint of its name allows; what has none may be
    anything."""
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            expected, found = " or ".join(kinds_in(hints[name])), " ".join(repr(value).split())
            raise UserError(f"{name} must be {expected}, got {type(value).__name__} {found:.60}")


def plain_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The type hints of a function's arguments, but for choices, of which the nearest is told elsewhere; none
    where they cannot be read."""
    try:
        hints = get_type_hints(function)
    except Exception:  # somebody's own, of names that are known to a type checker alone
        return {}
    return {name: hint for name, hint in hints.items() if "Literal[" not in str(hint) and name != "return"}


def with_checked_kinds(constructor: Callable[..., None]) -> Callable[..., None]:
    """A constructor that raises, before it does anything, for a keyword of another kind than its hint
    allows."""
    hints = functools.cache(lambda: plain_hints(constructor))

    @functools.wraps(constructor)
    def checked(self: object, *values: Any, **options: Any) -> None:
        check_kinds(options, hints())
        constructor(self, *values, **options)

    return checked


def checking_kinds(function: Callable[P, R]) -> Callable[P, R]:
    """A function, or a constructor, that raises, before it does anything, for an argument of another kind
    than its hint allows."""
    hints, signature = functools.cache(lambda: plain_hints(function)), inspect.signature(function)

    @functools.wraps(function)
    def checked(*values: P.args, **options: P.kwargs) -> R:
        check_kinds(signature.bind(*values, **options).arguments, hints())
        return function(*values, **options)

    return checked


def fits(value: object, hint: Any) -> bool:
    """Whether a value, of Python or NumPy or read from JSON, is of a kind that a type hint allows.

    A number is no truth value, a list will do for a tuple, and a path for a word.
    """
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(fits(value, kind) for kind in parts)
    if origin is Literal:
        return any(type(value) is type(known) and value == known for known in parts)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(fits(part, parts[0]) for part in value)
    if origin is Sequence:  # an array or a tensor is one too, and a word is none of words
        listed = not isinstance(value, list | tuple) or all(fits(part, parts[0]) for part in value)
        return listed and hasattr(value, "__getitem__") and not isinstance(value, str | bytes | Mapping)
    if hint in KINDS and hint is not type(None):
        return isinstance(value, KINDS[hint][0]) and (hint is bool or not isinstance(value, bool))
    kind = origin or hint
    return not isinstance(kind, type) or isinstance(value, kind)


def kinds_in(hint: Any) -> list[str]:
    """What a type hint allows, in words."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return [word for kind in parts for word in kinds_in(kind)]
    if origin is Literal:
        return [", ".join(map(repr, parts))]
    if origin in (tuple, Sequence):
        return [f"several, each {kinds_in(parts[0])[0]}"]
    return [KINDS[hint][1] if hint in KINDS else with_article(getattr(hint, "__name__", str(hint)))]


KINDS: dict[Any, tuple[Any, str]] = {
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: ((str, os.PathLike), "a word"),
    bool: (bool, "True or False"),
    type(None): (type(None), "None"),
}


def check_share(name: str, value: float) -> None:
    """Raise unless ``value`` lies in [0, 1]."""
    check_number(name, value)
    if not 0 <= value <= 1:
        raise UserError(f"{name} must lie in [0, 1], got {value}")


def check_positive(name: str, value: float) -> None:
    """Raise unless ``value`` is above zero and finite."""
    check_number(name, value)
    if not 0 < value < float("inf"):
        raise UserError(f"{name} must be above 0, got {value}")


def check_count(name: str, value: float) -> None:
    """Raise unless ``value`` is a whole number above zero."""
    check_positive(name, value)
    if value != int(value):
        raise UserError(f"{name} must be a whole number, got {value}")


def check_not_negative(name: str, value: float) -> None:
    """Raise unless ``value`` is at least zero and finite."""
    check_number(name, value)
    if not 0 <= value < float("inf"):
        raise UserError(f"{name} must not be negative, got {value}")


def check_seed(name: str, value: object) -> None:
    """Raise unless ``value`` is a whole number in [0, 2^63), which all generators take."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not 0 <= int(value) < SEEDS:
        raise UserError(f"{name} must be a whole number from 0 to 2^63 - 1, got {value!r:.40}")


def with_article(thing: str) -> str:
    """A thing in words, "a DataSet" or "an Algorithm"."""
    return f"{'an' if thing[:1] in 'AEIOaeio' else 'a'} {thing}"


def counts_of(count: int, thing: str) -> str:
    """A number of things in words, "1 file" or "2 files", "2 classes"."""
    plural = "es" if thing.endswith("s") else "s"
    return f"{count:,} {thing}" + ("" if count == 1 else plural)


def verb_for(count: int, one: str = "is", many: str = "are") -> str:
    """The verb that goes with a number of things."""
    return one if count == 1 else many


def told_of(part: int, whole: int, thing: str, what: str, where: object) -> str:
    """What some of several things do, "1 of 3 lines in list.txt names no image", in words that are of many of
    them, "name no image"."""
    verb, _, rest = what.partition(" ")
    return f"{part} of {counts_of(whole, thing)} {where} {verb_for(part, verb + 's', verb)} {rest}"
