"""Images of several kinds as one."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor

from ssl_mix.datasets.decode_many import Progress, Reading
from ssl_mix.datasets.originals import Form, Originals
from ssl_mix.datasets.packed import Paths
from ssl_mix.datasets.pixels import Original


class Joined:
    """Images of several kinds, one behind the other."""

    def __init__(self, parts: Sequence[Originals]) -> None:
        self.parts = list(parts)
        files = [part.files for part in parts if part.files is not None]
        self.files = Paths(chain(*(part.names for part in files))) if len(files) == len(parts) else None
        self.starts = [sum(map(len, parts[:number])) for number in range(len(parts))]
        self.count = sum(map(len, parts))

    def __len__(self) -> int:
        return self.count

    def copied(self, form: Form) -> int:
        """See ``Originals``."""
        return sum(part.copied(form) for part in self.parts)

    def original(self, position: int, channels: int) -> Original:
        """See ``Originals``."""
        number, within = self.place(position)
        return self.parts[number].original(within, channels)

    def stored(self, position: int, form: Form) -> Tensor:
        """See ``Originals``."""
        number, within = self.place(position)
        return self.parts[number].stored(within, form)

    def read(self, form: Form, *, keep: bool, progress: Progress | None, label: str) -> Reading:
        """See ``Originals``."""
        found = [part.read(form, keep=keep, progress=progress, label=label) for part in self.parts]
        images = [reading.images for reading in found if isinstance(reading.images, Tensor)]
        digests = [reading.digests for reading in found if reading.digests is not None]
        return Reading(
            torch.cat(images) if keep else None,
            [
                start + kept
                for start, reading in zip(self.starts, found, strict=True)
                for kept in reading.kept
            ],
            [entry for reading in found for entry in reading.broken],
            sum(reading.enlarged for reading in found),
            sum(digests, []) if len(digests) == len(found) else None,
            sum((Counter(reading.scaled) for reading in found), Counter()),
        )

    def place(self, position: int) -> tuple[int, int]:
        """The number of the part that holds an image, and its position there."""
        number = bisect_right(self.starts, position) - 1
        return number, position - self.starts[number]

    def subset(self, positions: Sequence[int]) -> "Joined":
        """See ``Originals``; the positions ascend."""
        return Joined(
            [
                part.subset([at - start for at in positions if start <= at < start + len(part)])
                for part, start in zip(self.parts, self.starts, strict=True)
            ]
        )

    def sizes(self) -> set[tuple[int, int]]:
        """See ``Originals``."""
        return set().union(*(part.sizes() for part in self.parts))
