"""Stored uint8 images behind one interface: in memory, or made anew whenever they are wanted."""

import gc
import multiprocessing
import operator
import signal
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ssl_mix.datasets.decode import UnreadableError
from ssl_mix.datasets.decode_many import available_cpus
from ssl_mix.datasets.pixels import as_images
from ssl_mix.datasets.shared_heap import shared_heap
from ssl_mix.datasets.worker_signals import batches_of
from ssl_mix.errors import UserError, check_not_negative
from ssl_mix.ranks import all_rows, count, share_of

MAX_WORKERS = 8
Made = TypeVar("Made")


def worker_count(asked: int | None = None) -> int:
    """``asked`` worker processes, or 8, but no more than there are processors: more would only be slower.

    Raises:
        ValueError: fewer than none are asked for.
    """
    check_not_negative("workers", asked or 0)
    return min(MAX_WORKERS if asked is None else asked, available_cpus())


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


def check_source(images: object) -> None:
    """Raise unless it is an ``ImageSource``: a tensor, an array or a Dataset is none."""
    if not hasattr(images, "batches"):
        raise UserError(
            f"images must be an ImageSource, got {type(images).__name__}: ssl_mix.datasets.ResidentImages "
            "makes one of a tensor or an array, and as_dataset(...).train.images is one"
        )


class ResidentImages:
    """Images in one tensor, which is copied to a device once and gathered from there.

    Where it would take more than half of a GPU's free memory it stays in the memory of the host.

    Args:
        images: (N, C, H, W) of any number type and layout that ``as_images`` takes.

    Raises:
        ValueError: they are neither uint8 nor floats in [0, 1].

    Examples:
        >>> images = ResidentImages(torch.arange(4, dtype=torch.uint8).view(4, 1, 1, 1))
        >>> (batch,) = images.batches([torch.tensor([3, 0])], torch.device("cpu"))
        >>> batch.flatten().tolist()
        [3, 0]
    """

    def __init__(self, images: Any) -> None:
        self.images = as_images(images, "images")
        _, *shape = self.images.shape
        self.shape: tuple[int, int, int] = (shape[0], shape[1], shape[2])
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
    """Images that are made when they are wanted: worker processes make each batch some steps before it is
    due. A file that cannot be read any more is a black image, of which a warning tells.

    The workers live as long as the iterator that ``batches`` returns.

    Args:
        items: N images of ``shape``, uint8 or floats in [0, 1], each the same whenever it is asked for.
        shape: (C, H, W).
        workers: processes per iterator, at most one per processor; default: as many, up to 8. 0 works in this
            process.

    Examples:
        >>> items = [torch.full((1, 2, 2), level, dtype=torch.uint8) for level in range(4)]
        >>> images = StreamedImages(items, (1, 2, 2), workers=0)
        >>> (batch,) = images.batches([torch.tensor([3, 0])], torch.device("cpu"))
        >>> batch[:, 0, 0, 0].tolist()
        [3, 0]
    """

    def __init__(
        self, items: Dataset[Tensor], shape: tuple[int, int, int], *, workers: int | None = None
    ) -> None:
        if not hasattr(items, "__getitem__") or operator.length_hint(items, -1) < 0:
            raise UserError(
                f"items must be a Dataset with a length, got {type(items).__name__}: they are asked for by "
                "their positions"
            )
        if not isinstance(shape, tuple) or len(shape) != 3:
            raise UserError(f"shape must be (C, H, W), got {shape!r:.40}")
        self.items, self.shape, self.workers = items, shape, worker_count(workers)

    def __len__(self) -> int:
        return len(self.items)  # type: ignore[arg-type]

    def batches(self, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
        """See ``ImageSource``."""
        wanted = (index.tolist() for index in indices)
        items, pinned = _OrBlack(self.items, self.shape), device.type == "cuda"
        for batch, unread in in_workers(
            items, wanted, partial(_stacked, self.shape), self.workers, pinned=pinned
        ):
            for reason in unread:
                warnings.warn(f"{reason}: a black image takes its place", stacklevel=2)
            yield batch.to(device, non_blocking=True)


def shared_batches(images: ImageSource, indices: Iterable[Tensor], device: torch.device) -> Iterator[Tensor]:
    """``images.batches(indices, device)``, for which each of several processes reads its share of a batch
    alone where images are made anew; all get all of them."""
    if not isinstance(images, StreamedImages) or count() == 1:
        yield from images.batches(indices, device)
        return
    sizes: deque[int] = deque()  # of the batches that are being made

    def own() -> Iterator[Tensor]:
        for index in indices:
            sizes.append(len(index))
            yield index[share_of(len(index))]

    for batch in images.batches(own(), device):
        yield all_rows(batch, sizes.popleft())


def in_workers(
    items: Dataset[Any],
    wanted: Iterable[list[Any]],
    collate: Callable[[list[Any]], Made],
    workers: int,
    *,
    pinned: bool = False,
) -> Iterator[Made]:
    """Batches of ``items`` that worker processes make some time before they are due, in order.

    Args:
        items: what is read.
        wanted: the indices of each batch; may be endless.
        collate: makes a batch of its items.
        workers: processes; 0 works in this one.
        pinned: in memory from which copies to a GPU need no waiting.

    Raises:
        ChildProcessError: a worker died, before the batch that is asked for.
    """
    loader: DataLoader[Any] = DataLoader(
        items,
        batch_sampler=wanted,
        collate_fn=collate,
        num_workers=workers,
        multiprocessing_context=_start_method() if workers else None,
        pin_memory=pinned,
        worker_init_fn=_begin_worker,
        generator=torch.Generator(),  # the loader's own draws must not move the global random state
    )
    return shared_heap(batches_of(loader)) if workers else iter(loader)


def _start_method() -> str:
    """How processes start: as was chosen for this one, else the default, which is left to be chosen."""
    return multiprocessing.get_start_method(allow_none=True) or multiprocessing.get_all_start_methods()[0]


class _OrBlack(Dataset[tuple[Any, str | None]]):
    """Items, each with the reason why it could not be read and is black."""

    def __init__(self, items: Dataset[Any], shape: tuple[int, int, int]) -> None:
        self.items, self.shape = items, shape

    def __getitem__(self, index: int) -> tuple[Any, str | None]:
        try:
            item = torch.as_tensor(self.items[index])
            if tuple(item.shape) != self.shape:
                raise UserError(
                    f"images: expected items of the shape {self.shape}, got {tuple(item.shape)} at {index}"
                )
            return item, None
        except UnreadableError as error:
            return torch.zeros(self.shape, dtype=torch.uint8), str(error)


def _stacked(shape: tuple[int, int, int], items: list[tuple[Any, str | None]]) -> tuple[Tensor, list[str]]:
    """A batch of items, as uint8, and the reasons why some could not be read."""
    images = torch.stack([item for item, _ in items]) if items else torch.empty(0, *shape, dtype=torch.uint8)
    return as_images(images, "images"), [reason for _, reason in items if reason is not None]


def _begin_worker(worker: int) -> None:
    """Signals are left to the parent, and objects that came from it are not looked through for garbage, which
    would copy them. Ctrl-C and a scheduler's SIGTERM go to all processes; training may want one more batch.
    Workers end when their loader says so, or their parent is gone."""
    del worker
    gc.freeze()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
