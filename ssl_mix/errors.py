"""The one exception for mistakes that a user can mend."""

import difflib
from collections.abc import Iterable


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


def check_share(name: str, value: float) -> None:
    """Raise unless ``value`` lies in [0, 1]."""
    if not 0 <= value <= 1:
        raise UserError(f"{name} must lie in [0, 1], got {value}")


def check_positive(name: str, value: float) -> None:
    """Raise unless ``value`` is above zero and finite."""
    if not 0 < value < float("inf"):
        raise UserError(f"{name} must be above 0, got {value}")


def check_count(name: str, value: float) -> None:
    """Raise unless ``value`` is a whole number above zero."""
    check_positive(name, value)
    if value != int(value):
        raise UserError(f"{name} must be a whole number, got {value}")


def check_not_negative(name: str, value: float) -> None:
    """Raise unless ``value`` is at least zero and finite."""
    if not 0 <= value < float("inf"):
        raise UserError(f"{name} must not be negative, got {value}")
