"""Memory that forked workers share with their parent stays shared."""

import gc
from collections.abc import Iterator
from typing import TypeVar

Made = TypeVar("Made")
_streams = [0]  # at work in this process


def shared_heap(batches: Iterator[Made]) -> Iterator[Made]:
    """The same batches of forked workers; while they are asked for, the garbage collector leaves objects that
    were there before alone.

    It writes into each object that it looks at, and the system then copies the page for the process that
    writes: with PyTorch loaded a first collection costs 100 MB, and later ones make memory grow by and by.
    Objects that are made meanwhile are collected as ever, the others again once no stream is at work.
    """
    if not _streams[0]:
        gc.freeze()
    _streams[0] += 1
    try:
        yield from batches
    finally:
        _streams[0] -= 1
        if not _streams[0]:
            gc.unfreeze()
