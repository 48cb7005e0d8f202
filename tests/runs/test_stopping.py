"""Signals: what stops at once, what finishes its step, and what counts as one request."""

import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest

from ssl_mix.runs.stopping import SIGNALS, Stopped, check_not_stopped, stop_at_once, stop_cleanly

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals to send")


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(0.01)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_raises_with_the_status_that_shells_expect(number: int, status: int) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    with pytest.raises(Stopped) as stopped, stop_at_once():
        send(number)
    assert stopped.value.status == status and isinstance(stopped.value, KeyboardInterrupt)
    assert [signal.getsignal(each) for each in SIGNALS] == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_swallowed_signal_still_ends_the_block(number: int) -> None:
    with pytest.raises(Stopped) as stopped, stop_at_once():
        try:
            send(number)
        except BaseException:
            number = number  # as careless code does
    assert stopped.value.number == number
    check_not_stopped()  # nothing of it is left


def test_training_does_not_begin_after_a_swallowed_signal() -> None:
    trainer = SimpleNamespace(stop=False)
    with pytest.raises(Stopped), stop_at_once():
        try:
            send(signal.SIGTERM)
        except BaseException:
            with stop_cleanly(trainer):
                trainer.stop = True  # is not reached
    assert not trainer.stop


@pytest.mark.parametrize("number", SIGNALS)
def test_training_stops_cleanly_and_the_same_signal_twice_is_one_request(number: int) -> None:
    trainer = SimpleNamespace(stop=False)
    with stop_cleanly(trainer) as caught:
        send(number)
        send(number)  # as `timeout` does
        assert trainer.stop and caught == [number]


def test_another_signal_later_ends_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl_mix.runs.stopping.ONE_REQUEST", 0.02)
    with pytest.raises(Stopped) as stopped, stop_cleanly(SimpleNamespace(stop=False)):
        send(signal.SIGTERM)
        time.sleep(0.05)
        send(signal.SIGINT)
    assert stopped.value.status == 130


def test_other_threads_leave_signals_alone() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work() -> None:
        with stop_at_once(), stop_cleanly(SimpleNamespace(stop=False)) as caught:
            seen.append((signal.getsignal(signal.SIGTERM), caught))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, [])]
