"""The order in which images are drawn where some classes are to be drawn more often than they occur."""

from collections.abc import Iterator, Sequence
from itertools import count

import torch
from torch import Tensor

from ssl_mix.datasets.sampling import ShuffledIndex
from ssl_mix.errors import check_positive

PERIOD = 1000  # positions in which shares are exact


class WeightedIndex:
    """An endless row of positions in which each class has its share, cut into batches; within a class all
    images come once before any comes again.

    Class c with n_c of the images is drawn in a share ``w_c n_c / sum w n``, to the thousandth; without
    weights all classes that occur are drawn alike. A pure function of the arguments, as
    :class:`ShuffledIndex`.

    Args:
        labels: (N,) int64, the class of each position.
        weights: w_c of each of the C classes, above 0; empty for classes drawn alike.
        batch_size: B.
        seed: of the run.
        stream: name of the random stream.

    Examples:
        >>> labels = torch.tensor([0, 0, 0, 0, 0, 1])
        >>> order = WeightedIndex(labels, (), 4, seed=0, stream="labeled")
        >>> labels[order.batch(0)].sort().values
        tensor([0, 0, 1, 1])
    """

    def __init__(
        self, labels: Tensor, weights: Sequence[float], batch_size: int, *, seed: int, stream: str
    ) -> None:
        check_positive("batch_size", batch_size)
        self.batch_size = batch_size
        classes = sorted({*labels.tolist()})
        members = [torch.nonzero(labels == label).flatten() for label in classes]
        copies = torch.ones(len(classes), dtype=torch.int64)
        if weights:
            shares = torch.tensor(
                [weights[label] * len(member) for label, member in zip(classes, members, strict=True)]
            )
            copies = (PERIOD * shares / shares.sum()).round().long().clamp(min=1)
        slots = torch.repeat_interleave(torch.arange(len(classes)), copies)
        self._slots = ShuffledIndex(slots, len(slots), seed=seed, stream=f"{stream}/classes")
        self._copies = copies
        self._rows = [
            ShuffledIndex(member, 1, seed=seed, stream=f"{stream}/{label}")
            for label, member in zip(classes, members, strict=True)
        ]

    def batch(self, step: int) -> Tensor:
        """Positions ``step * B`` to ``(step + 1) * B`` of the row, (B,) int64 on the CPU."""
        start, period = step * self.batch_size, int(self._copies.sum())
        first, last = start // period, (start + self.batch_size - 1) // period
        classes = torch.cat([self._slots.batch(number) for number in range(first, last + 1)])
        offset = start - first * period
        before, chosen = classes[:offset], classes[offset : offset + self.batch_size]
        drawn = torch.empty_like(chosen)
        for place, row in enumerate(self._rows):
            here = chosen == place
            begin = first * int(self._copies[place]) + int((before == place).sum())
            drawn[here] = row.elements(begin, begin + int(here.sum()))
        return drawn

    def from_step(self, step: int) -> Iterator[Tensor]:
        """Batches from ``step`` on, without end."""
        return map(self.batch, count(step))
