"""What one process does at a time, while the others wait."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: each does it by itself
    fcntl = None  # type: ignore[assignment]

PAUSE = 0.2  # seconds


@contextmanager
def only_one(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Within the block no other process that names the same file is in one; one that dies leaves it.

    Where the file system knows no locks nobody waits.

    Args:
        path: an empty file that stands for what is done.
        waiting: called again and again while another process is at it.
    """
    with open(path, "a") as file:
        while not _locked(file.fileno()):
            waiting()
            time.sleep(PAUSE)
        yield


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours, or there are none."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
