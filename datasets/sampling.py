"""The order in which images are drawn, as a pure function of the step."""

from collections.abc import Iterator, Sequence
from itertools import count

import torch
from torch import Tensor

from ssl_mix.datasets.label_range import positions_in
from ssl_mix.errors import check_count, check_positive, check_seed
from ssl_mix.randomness import stream_generator

CHUNK = 2**14


class ShuffledIndex:
    """An endless row of random permutations of ``index``, cut into batches.

    ``batch(step)`` depends on nothing but the arguments, so resuming and reading ahead need no state. A batch
    may span permutations, and so may hold an element twice; it may be larger than the whole index.
    Permutations are drawn by the chunk, each chunk from a generator of its own, and the last two chunks drawn
    are kept.

    Args:
        index: (N,) positions to draw, N >= 1.
        batch_size: B.
        seed: of the run.
        stream: name of the random stream.

    Raises:
        ValueError: ``index`` is empty, ``batch_size`` is not above 0, or ``seed`` is none.

    Examples:
        >>> order = ShuffledIndex(range(4), 2, seed=0, stream="labeled")
        >>> sorted(torch.cat((order.batch(0), order.batch(1))).tolist())
        [0, 1, 2, 3]
    """

    def __init__(self, index: Tensor | Sequence[int], batch_size: int, *, seed: int, stream: str) -> None:
        check_count("batch_size", batch_size)
        check_seed("seed", seed)
        self.index = positions_in(index, "index")
        check_positive("the number of images to draw from", len(self.index))
        self.batch_size, self.seed, self.stream = batch_size, seed, stream
        self._rows = max(1, CHUNK // len(self.index))
        self._chunks: dict[int, Tensor] = {}

    def batch(self, step: int) -> Tensor:
        """Elements ``step * B`` to ``(step + 1) * B`` of the row, (B,) int64 on the CPU."""
        return self.elements(step * self.batch_size, (step + 1) * self.batch_size)

    def elements(self, start: int, stop: int) -> Tensor:
        """Elements ``start`` to ``stop`` of the row, (stop - start,) int64 on the CPU."""
        length = self._rows * len(self.index)
        numbers = range(start // length, (stop - 1) // length + 1) if stop > start else range(0)
        parts = [self._chunk(n)[max(0, start - n * length) : stop - n * length] for n in numbers]
        return torch.cat(parts) if parts else self.index[:0]

    def from_step(self, step: int) -> Iterator[Tensor]:
        """Batches from ``step`` on, without end."""
        return map(self.batch, count(step))

    def _chunk(self, number: int) -> Tensor:
        if number not in self._chunks:
            if len(self._chunks) == 2:
                del self._chunks[next(iter(self._chunks))]
            generator = stream_generator(self.seed, self.stream, number)
            self._chunks[number] = self.index[_permutations(self._rows, len(self.index), generator)]
        return self._chunks[number]


def _permutations(rows: int, length: int, generator: torch.Generator) -> Tensor:
    """``rows`` permutations of 0..length-1 in a row, many small ones at once by sorting noise."""
    if rows == 1:
        return torch.randperm(length, generator=generator)
    noise = torch.rand(rows, length, dtype=torch.float64, generator=generator)
    return noise.argsort(dim=1).flatten()
