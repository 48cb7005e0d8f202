"""Loaders with worker processes that leave the signal handlers alone: a dead worker is found where a batch is
asked for, while PyTorch's handler raises in the middle of a step."""

import signal
from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling


def batches_of(loader: DataLoader[Any]) -> Iterator[Any]:
    """The batches of a loader with workers.

    Raises:
        ChildProcessError: a worker died, before the batch that is asked for.
    """
    set_before = signal_handling._SIGCHLD_handler_set
    signal_handling._SIGCHLD_handler_set = True  # the loader now sets none
    try:
        batches = iter(loader)
    finally:
        signal_handling._SIGCHLD_handler_set = set_before
    workers = list(batches._workers)  # type: ignore[attr-defined]
    try:
        yield from batches
    except RuntimeError as error:
        dead = next((worker for worker in workers if worker.exitcode), None)
        if dead is None:
            raise
        raise ChildProcessError(
            f"worker process {dead.pid}, which made images ready, {_ending(dead.exitcode)}: where the memory "
            "did not suffice, let fewer work (`workers`) or store smaller images"
        ) from error


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    return f"was killed by {signal.Signals(-status).name}"
