"""Libraries that are imported when they are first needed."""

import contextlib
import functools
import importlib
import os
import random
import warnings
from collections.abc import Iterator
from typing import Any


@functools.cache
def imported(name: str) -> Any:
    """The module of that name: for libraries that take long to import, and that most commands never use.

    Python's random state, the filters of warnings and the environment, which libraries change when they are
    imported, stay as they are: so it may stand in the middle of a function.

    Args:
        name: with the packages that it is in, ``"sklearn.cluster"``.
    """
    with _shared_state_kept():
        return importlib.import_module(name)


@contextlib.contextmanager
def _shared_state_kept() -> Iterator[None]:
    """Put back what libraries change when they are first imported: Python's random state, the filters of
    warnings and the environment."""
    drawn, filters, environment = random.getstate(), list(warnings.filters), dict(os.environ)
    try:
        yield
    finally:
        random.setstate(drawn)
        warnings.filters[:] = filters  # type: ignore[index]
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update(environment)
