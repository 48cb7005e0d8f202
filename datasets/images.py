"""Stored uint8 images behind one interface: in memory, or read from their files again and again."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ssl_mix.datasets.decode import Fit, decode
from ssl_mix.datasets.decode_many import available_cpus

MAX_WORKERS = 8


class ImageSource(Protocol):
    """uint8 images of one shape, wherever they are.

    Examples:
        >>> source: ImageSource = load_digits_data().train.images
        >>> source.shape, len(source)
        ((1, 8, 8), 1437)
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""

    def __len__(self) -> int:
        """How many images there are."""

    def batches(self, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """One uint8 batch (n, C, H, W) on ``device`` for each CPU int64 index tensor (n,), in order.

        Args:
            indices: may be endless.
            device: where the batches go.
        """


class ResidentImages:
    """Images in one tensor, which is copied to a device once and gathered from there.

    Where it would take more than half of a GPU's free memory it stays in the memory of the host.

    Args:
        images: (N, C, H, W) uint8 on the CPU.

    Examples:
        >>> images = ResidentImages(torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1))
        >>> (batch,) = images.batches([torch.tensor([3, 0])], torch.device("cpu"))
        >>> batch.flatten().tolist()
        [3, 0]
    """

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.shape: tuple[int, int, int] = (images.shape[1], images.shape[2], images.shape[3])
        self._copies: dict[torch.device, Tensor] = {}

    def __len__(self) -> int:
        return len(self.images)

    def batches(self, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """See ``ImageSource``."""
        images = self._near(device)
        for index in indices:
            batch = images.index_select(0, index.to(images.device, non_blocking=True))
            yield batch.to(device, non_blocking=True)

    def _near(self, device: torch.device) -> Tensor:
        device = torch.empty(0, device=device).device  # "cuda" and "cuda:0" are one place
        if device not in self._copies:
            fits = device.type != "cuda" or self.images.nbytes <= torch.cuda.mem_get_info(device)[0] // 2
            self._copies[device] = self.images.to(device) if fits else self.images
        return self._copies[device]


class StreamedImages:
    """Images that stay in their files: worker processes decode each batch some steps before it is due.

    The pixels are those of ``decode``, so they equal the ones ``ResidentImages`` would hold. The workers live
    as long as the iterator that ``batches`` returns.

    Args:
        files: image files.
        size: side in pixels that they are resized to.
        channels: 3 for RGB, 1 for gray.
        fit: how they become square, see ``decode``.
        workers: processes per iterator; default: one per processor, at most 8. 0 decodes in this process.
    """

    def __init__(
        self,
        files: Sequence[Path],
        size: int,
        channels: int = 3,
        fit: Fit = "cut",
        *,
        workers: int | None = None,
    ) -> None:
        self.shape: tuple[int, int, int] = (channels, size, size)
        self.files = _Files([str(file) for file in files], size, channels, fit)
        self.workers = min(available_cpus(), MAX_WORKERS) if workers is None else workers

    def __len__(self) -> int:
        return len(self.files.paths)

    def batches(self, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """See ``ImageSource``."""
        loader = DataLoader(
            self.files,
            batch_sampler=(index.tolist() for index in indices),
            collate_fn=torch.stack,
            num_workers=self.workers,
            pin_memory=device.type == "cuda",
            worker_init_fn=_leave_interrupts_to_the_parent,
            generator=torch.Generator(),  # the loader's own draws must not move the global random state
        )
        for batch in loader:
            yield batch.to(device, non_blocking=True)


class _Files(Dataset[Tensor]):
    def __init__(self, paths: list[str], size: int, channels: int, fit: Fit) -> None:
        self.paths, self.size, self.channels, self.fit = paths, size, channels, fit

    def __getitem__(self, index: int) -> Tensor:
        return decode(self.paths[index], self.size, self.channels, self.fit)


def _leave_interrupts_to_the_parent(worker: int) -> None:
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all; training may want one more batch
