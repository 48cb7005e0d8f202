"""When a file changed."""

import os

Stamp = tuple[int, int]
ABSENT: Stamp = (-1, -1)


def stamp_of(name: str) -> Stamp:
    """Bytes of a file, and when it changed, in ns; -1 where it is not there: reading it will tell what is
    wrong."""
    try:
        status = os.stat(name)
    except OSError:
        return ABSENT
    return status.st_size, status.st_mtime_ns
