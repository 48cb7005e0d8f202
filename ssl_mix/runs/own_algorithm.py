"""Algorithms of somebody's own, by the place of their class: "mine:PseudoLabel" is ``PseudoLabel`` in
``mine.py``."""

import importlib
import os
import sys

from ssl_mix.algorithm import Algorithm
from ssl_mix.algorithms import ALGORITHMS
from ssl_mix.errors import UserError


def register(name: str) -> None:
    """Put the class that a name "MODULE:CLASS" means into ``ALGORITHMS``; other names are left alone.

    The module is looked for as any import is, and in the working folder.

    Raises:
        ValueError: there is no such module, or nothing in it of that name that is an ``Algorithm``.
    """
    module, colon, attribute = name.partition(":")
    if not colon or name in ALGORITHMS:
        return
    if os.getcwd() not in sys.path:  # as for python -m, but not for an installed command
        sys.path.append(os.getcwd())
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"algorithm {name}: cannot import {module!r} ({error}): start where {module}.py is, or put its "
            "folder on PYTHONPATH"
        ) from error
    if not (isinstance(found, type) and issubclass(found, Algorithm)):
        where = getattr(sys.modules[module], "__file__", None) or "the program that was started"
        raise UserError(
            f"algorithm {name}: expected a subclass of ssl_mix.algorithm.Algorithm named {attribute!r} in "
            f"{where}, got {'none' if found is None else repr(found)}: define it there"
        )
    ALGORITHMS[name] = found


def name_of(algorithm: object) -> str:
    """The name of an algorithm that is given by name or as a class, which is then in ``ALGORITHMS``.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(algorithm, str):
        return algorithm
    if isinstance(algorithm, Algorithm):
        kind = type(algorithm).__name__
        raise UserError(
            f"algorithm must be a name or a class, got an object: pass {kind} and its options as keywords"
        )
    if not (isinstance(algorithm, type) and issubclass(algorithm, Algorithm)):
        raise UserError(
            f"algorithm must be a name or a subclass of Algorithm, got {type(algorithm).__name__}"
        )
    known = {cls: name for name, cls in ALGORITHMS.items()}
    name = known.get(algorithm, f"{algorithm.__module__}:{algorithm.__qualname__}")
    ALGORITHMS[name] = algorithm
    return name


def place_notes(name: str) -> tuple[str, ...]:
    """A note for a class that another program cannot import, so that it cannot open the run either."""
    module, colon, attribute = name.partition(":")
    if not colon or (module != "__main__" and "<locals>" not in attribute):
        return ()
    return (
        f"{attribute} is defined where only this program finds it: put it into a module of its own, at the "
        "top, or no other program can open or resume this run",
    )


def algorithm_of_run(name: str) -> type[Algorithm]:
    """The class that a run's folder names.

    Raises:
        ValueError: it is not known here.
    """
    register(name)
    if name not in ALGORITHMS:
        raise UserError(
            f"the run was trained by {name!r}, which is no algorithm of this package: put its class into "
            "ssl_mix.algorithms.ALGORITHMS first"
        )
    return ALGORITHMS[name]
