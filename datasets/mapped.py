"""Images in a file on the disk that is mapped into memory: of what is larger than the memory, the system
keeps there what was read last."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

THREADS, AHEAD = 2, 4  # batches


class MappedImages:
    """An ``ImageSource`` of rows of a ``.npy`` file, which threads gather some steps before they are due.

    Args:
        file: (N, C, H, W) uint8.
        rows: those that are the images; default: all.
    """

    def __init__(self, file: Path, rows: Sequence[int] | None = None) -> None:
        mapped = np.load(file, mmap_mode="c")  # as "r", which torch warns of; nothing is ever written
        self.file, self.images = file, torch.from_numpy(mapped)
        self.rows = torch.arange(len(mapped)) if rows is None else torch.tensor(rows, dtype=torch.int64)
        channels, height, width = mapped.shape[1:]
        self.shape: tuple[int, int, int] = (channels, height, width)

    def __len__(self) -> int:
        return len(self.rows)

    def chosen(self, positions: Sequence[int]) -> "MappedImages":
        """Some of the images."""
        return MappedImages(self.file, self.rows[torch.tensor(positions, dtype=torch.int64)].tolist())

    def batches(self, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """See ``ImageSource``."""

        def gather(index: Tensor) -> Tensor:
            batch = self.images.index_select(0, self.rows[index])
            return batch.pin_memory() if device.type == "cuda" else batch

        wanted = iter(indices)
        with ThreadPoolExecutor(THREADS) as pool:
            begun = deque(pool.submit(gather, index) for index in islice(wanted, AHEAD))
            while begun:
                batch = begun.popleft().result()
                begun.extend(pool.submit(gather, index) for index in islice(wanted, 1))
                yield batch.to(device, non_blocking=True)
