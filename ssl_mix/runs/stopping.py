"""Ctrl-C, and the signal with which schedulers stop jobs."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol

SIGNALS = (signal.SIGINT, signal.SIGTERM)
ONE_REQUEST = 1.0  # second in which wrappers such as `timeout` pass the same signal on twice


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int, said: str | None = None) -> None:
        super().__init__(said or f"stopped by {signal.Signals(number).name}")
        self.number = number

    @property
    def status(self) -> int:
        """The exit status that shells expect: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.number


class Stoppable(Protocol):
    """What ends by itself once ``stop`` is set, as a trainer after the current step."""

    stop: bool


_asked: list[int] = []  # signals of this command: code that is interrupted may swallow the exception


@contextmanager
def stop_at_once() -> Iterator[None]:
    """Within the block a signal raises ``Stopped`` wherever the program is, and again where the block ends or
    asks :func:`check_not_stopped`, should it have been swallowed."""
    _asked.clear()

    def stop(number: int) -> None:
        _asked.append(number)
        raise Stopped(number)

    try:
        with _handled(stop):
            yield
        check_not_stopped()
    finally:
        _asked.clear()


def check_not_stopped() -> None:
    """Raise ``Stopped`` if a signal has come within ``stop_at_once``."""
    if _asked:
        raise Stopped(_asked[0])


@contextmanager
def stop_cleanly(what: Stoppable) -> Iterator[list[int]]:
    """Within the block a signal sets ``what.stop``; another one, a second later, raises ``Stopped``.

    Yields:
        A list that holds the number of the signal once one has come.

    Raises:
        Stopped: one came before.
    """
    check_not_stopped()
    caught: list[int] = []

    def stop(number: int) -> None:
        caught.append(number)
        what.stop = True

    with _handled(stop):
        yield caught


@contextmanager
def _handled(first: Callable[[int], None]) -> Iterator[None]:
    """Let the first signal of the block do ``first``."""
    if threading.current_thread() is not threading.main_thread():  # only there Python lets signals be handled
        yield
        return
    came: list[float] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(time.monotonic())
        if len(came) == 1:
            first(number)
        elif came[-1] - came[0] > ONE_REQUEST:
            raise Stopped(number)

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)
