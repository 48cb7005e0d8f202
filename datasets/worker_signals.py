"""PyTorch's loaders handle the signal of a dead worker process from the first one on; here until the last has
done its work."""

import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from torch.utils.data._utils import signal_handling

Made = TypeVar("Made")
_before: list[Any] = []  # the handler of before, once for each loader that is at work


def with_signals_restored(batches: Iterable[Made]) -> Iterator[Made]:
    """The batches of a loader with workers, which leaves the signal as it was once none is at work."""
    owned = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    if not owned:  # elsewhere Python lets no signal be handled, and PyTorch handles none
        yield from batches
        return
    _before.append(_before[0] if _before else signal.getsignal(signal.SIGCHLD))
    try:
        yield from batches
    finally:
        handler = _before.pop()
        if not _before and handler is not None:  # None: set by something else than Python
            signal.signal(signal.SIGCHLD, handler)
            signal_handling._SIGCHLD_handler_set = False  # the next loader, whosever, handles it again
