"""Paths that begin with ``~``, where no shell has put the home of the user in its place."""

import os
from pathlib import Path
from typing import Any


def at_home(given: Any) -> Any:
    """A path ``~`` or ``~/x``, a string or Path as before, with the home in it; anything else as it is."""
    if isinstance(given, str | Path) and str(given).split("/")[0] == "~":
        return type(given)(os.path.expanduser(given))
    return given
