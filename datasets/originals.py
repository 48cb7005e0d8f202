"""Images as they were given, in files, in arrays or in a Dataset of PyTorch, each kind behind one
interface."""

from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ssl_mix.datasets.decode import Fit, decode, open_image, quiet, size_in, square
from ssl_mix.datasets.decode_many import CHUNK, Progress, Reading, in_threads, read_all
from ssl_mix.datasets.glance import MANY, glance_all
from ssl_mix.datasets.images import in_workers
from ssl_mix.datasets.packed import Paths, packed
from ssl_mix.datasets.pixels import Original, as_original, as_picture, digest_of, size_of, with_channels


class Form(NamedTuple):
    """How images are stored.

    Attributes:
        size: side in pixels.
        channels: 3 for RGB, 1 for gray.
        fit: how they become square, see ``decode``.
    """

    size: int
    channels: int = 3
    fit: Fit = "cut"


class Originals(Protocol):
    """N images as they were given.

    Attributes:
        files: their files, or None where they have none.
    """

    files: Paths | None

    def __len__(self) -> int:
        """N."""

    def copied(self, form: Form) -> int:
        """How many take memory of their own once they are stored."""

    def original(self, position: int, channels: int) -> Original:
        """One image as it was given, in gray or in color."""

    def stored(self, position: int, form: Form) -> Tensor:
        """One image as it is stored, (C, size, size) uint8."""

    def read(self, form: Form, *, keep: bool, progress: Progress | None, label: str) -> Reading:
        """All as they are stored; ``keep=False`` only checks them."""

    def subset(self, positions: Sequence[int]) -> "Originals":
        """Some of them."""

    def sizes(self) -> set[tuple[int, int]]:
        """The (width, height) that occur."""


class Files:
    """Image files. They are read by name: a ``Path`` enters its parts into Python's table of strings, which
    worker processes would have to copy."""

    def __init__(self, files: Iterable[str | PathLike[str]]) -> None:
        self.paths = packed(files)
        self.files: Paths | None = self.paths

    def __len__(self) -> int:
        return len(self.paths)

    def copied(self, form: Form) -> int:
        """See ``Originals``."""
        del form
        return len(self)

    def original(self, position: int, channels: int) -> Original:
        """See ``Originals``."""
        with quiet():
            return with_channels(open_image(self.paths.names[position]).image, channels)

    def stored(self, position: int, form: Form) -> Tensor:
        """See ``Originals``."""
        return decode(self.paths.names[position], form.size, form.channels, form.fit)

    def read(self, form: Form, *, keep: bool, progress: Progress | None, label: str) -> Reading:
        """See ``Originals``."""
        if not keep and len(self) > MANY:
            return glance_all(self.paths, progress, label)
        return read_all(self.paths, *form, keep=keep, progress=progress, label=label)

    def subset(self, positions: Sequence[int]) -> "Files":
        """See ``Originals``."""
        return Files(self.paths.chosen(positions))

    def sizes(self) -> set[tuple[int, int]]:
        """See ``Originals``; files that are no images are passed over."""

        def size(position: int) -> tuple[int, int] | None:
            try:
                return size_in(self.paths[position])
            except Exception:  # reading it will tell what is wrong
                return None

        return {found for found in in_threads(size, len(self), None, "") if found is not None}


class Arrays:
    """Images in memory, (N, C, H, W) uint8."""

    def __init__(self, images: Tensor) -> None:
        self.images = images
        self.files: Paths | None = None

    def __len__(self) -> int:
        return len(self.images)

    def copied(self, form: Form) -> int:
        """See ``Originals``."""
        return 0 if self.images.shape[2:] == (form.size, form.size) else len(self)

    def original(self, position: int, channels: int) -> Original:
        """See ``Originals``."""
        return with_channels(self.images[position], channels)

    def stored(self, position: int, form: Form) -> Tensor:
        """See ``Originals``."""
        return as_stored(self.images[position], form)

    def read(self, form: Form, *, keep: bool, progress: Progress | None, label: str) -> Reading:
        """See ``Originals``; what has the form already is not copied."""
        positions, small = list(range(len(self))), min(self.images.shape[2:]) < form.size
        enlarged, digests = len(self) if small else 0, [digest_of(image) for image in self.images]
        if not keep:
            return Reading(None, positions, [], enlarged, digests)
        if self.images.shape[2:] == (form.size, form.size):
            images = self.images.expand(-1, form.channels, -1, -1).contiguous()
            return Reading(images, positions, [], enlarged, digests)
        images = torch.empty((len(self), form.channels, form.size, form.size), dtype=torch.uint8)

        def read(position: int) -> None:
            images[position] = self.stored(position, form)

        in_threads(read, len(self), progress, label)
        return Reading(images, positions, [], enlarged, digests)

    def subset(self, positions: Sequence[int]) -> "Arrays":
        """See ``Originals``."""
        return Arrays(self.images[torch.tensor(positions, dtype=torch.int64)])

    def sizes(self) -> set[tuple[int, int]]:
        """See ``Originals``."""
        return {(self.images.shape[3], self.images.shape[2])}


class Items:
    """A Dataset of PyTorch; its images are asked for in worker processes, since it may not stand threads.

    Args:
        image: gives the image at a position as it was given.
        shapes: (width, height) of each.
        workers: processes.
    """

    def __init__(
        self, image: Callable[[int], Any], shapes: Sequence[tuple[int, int]], *, workers: int
    ) -> None:
        self.image, self.shapes, self.workers = image, list(shapes), workers
        self.files: Paths | None = None

    def __len__(self) -> int:
        return len(self.shapes)

    def copied(self, form: Form) -> int:
        """See ``Originals``."""
        del form
        return len(self)

    def original(self, position: int, channels: int) -> Original:
        """See ``Originals``."""
        return with_channels(as_original(self.image(position), f"image {position}"), channels)

    def stored(self, position: int, form: Form) -> Tensor:
        """See ``Originals``."""
        return as_stored(self.original(position, form.channels), form)

    def read(self, form: Form, *, keep: bool, progress: Progress | None, label: str) -> Reading:
        """See ``Originals``."""
        positions = list(range(len(self)))
        enlarged = sum(min(shape) < form.size for shape in self.shapes)
        if not keep:
            return Reading(None, positions, [], enlarged)
        images = torch.empty((len(self), form.channels, form.size, form.size), dtype=torch.uint8)
        chunks = [positions[start : start + CHUNK] for start in positions[::CHUNK]]
        found = in_workers(Stored(self, form), chunks, torch.stack, self.workers)
        for chunk, batch in zip(chunks, found, strict=True):
            images[chunk[0] : chunk[-1] + 1] = batch
            if progress is not None:
                progress(label, chunk[-1] + 1, len(self))
        return Reading(images, positions, [], enlarged, [digest_of(image) for image in images])

    def subset(self, positions: Sequence[int]) -> "Items":
        """See ``Originals``."""
        chosen = list(positions)
        shapes = [self.shapes[position] for position in chosen]
        return Items(_Chosen(self.image, chosen), shapes, workers=self.workers)

    def sizes(self) -> set[tuple[int, int]]:
        """See ``Originals``."""
        return set(self.shapes)


class Stored(Dataset[Tensor]):
    """Images as they are stored, for ``StreamedImages``."""

    def __init__(self, originals: Originals, form: Form) -> None:
        self.originals, self.form = originals, form

    def __len__(self) -> int:
        return len(self.originals)

    def __getitem__(self, index: int) -> Tensor:
        return self.originals.stored(index, self.form)


def as_stored(original: Original, form: Form) -> Tensor:
    """One image as it is stored, (C, size, size) uint8; an array of that size keeps its pixels."""
    if isinstance(original, Tensor) and size_of(original) == (form.size, form.size):
        return original.expand(form.channels, -1, -1).clone()
    return torch.from_numpy(square(as_picture(original), *form).copy())


class _Chosen:
    """Some images of a Dataset."""

    def __init__(self, image: Callable[[int], Any], positions: list[int]) -> None:
        self.image, self.positions = image, positions

    def __call__(self, position: int) -> Any:
        return self.image(self.positions[position])
