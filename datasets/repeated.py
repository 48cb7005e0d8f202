"""The order in which images are drawn where each is to be seen in several views at once."""

from collections.abc import Iterator
from itertools import count
from typing import Protocol

import torch
from torch import Tensor

from ssl_mix.errors import check_count


class Order(Protocol):
    """Batches of positions, a pure function of the step."""

    batch_size: int

    def batch(self, step: int) -> Tensor:
        """(B,) int64 on the CPU."""


class RepeatedIndex:
    """The row of an order with every element ``repeats`` times, cut into batches of the same size.

    The repeats of an element are in one batch, or in two where it ends amid them; in a batch they lie far
    apart, so that of several processes, and of several parts of a batch, each gets one of them.

    Args:
        order: the row.
        repeats: R, at least 1.

    Raises:
        ValueError: ``repeats`` is no count.

    Source: Berman et al., "MultiGrain" (2019); Hoffer et al., "Augment your batch" (CVPR 2020). Differs from
    DeiT's and timm's sampler, which draws a new permutation after as many images as there are and so shows a
    third of them, with three repeats: here each permutation is gone through to its end.

    Examples:
        >>> from ssl_mix.datasets import ShuffledIndex
        >>> order = RepeatedIndex(ShuffledIndex(range(4), 6, seed=0, stream="labeled"), 3)
        >>> sorted(order.batch(0).bincount(minlength=4).tolist())
        [0, 0, 3, 3]
    """

    def __init__(self, order: Order, repeats: int) -> None:
        check_count("repeated_augmentation", repeats)
        self.order, self.repeats, self.batch_size = order, repeats, order.batch_size

    def batch(self, step: int) -> Tensor:
        """The elements of one step, (B,) int64 on the CPU."""
        places = torch.arange(step * self.batch_size, (step + 1) * self.batch_size)
        places = places[(places % self.repeats).argsort(stable=True)] // self.repeats
        first, last = int(places.min()) // self.batch_size, int(places.max()) // self.batch_size
        drawn = torch.cat([self.order.batch(number) for number in range(first, last + 1)])
        return drawn[places - first * self.batch_size]

    def from_step(self, step: int) -> Iterator[Tensor]:
        """Batches from ``step`` on, without end."""
        return map(self.batch, count(step))
