"""Paths as shells read and take them."""

import os
import shlex
from pathlib import Path
from typing import Any


def at_home(given: Any) -> Any:
    """A path ``~`` or ``~/x``, a string or Path as before, with the home in it; anything else as it is."""
    if isinstance(given, str | Path) and str(given).split("/")[0] == "~":
        return type(given)(os.path.expanduser(given))
    return given


def quoted(path: str | Path | None) -> str:
    """A path as a shell takes it."""
    return shlex.quote(str(path))
