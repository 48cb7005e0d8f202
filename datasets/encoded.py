"""Image files inside other files, such as tar archives and tables, each of which can be read by itself."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ssl_mix.datasets.decode import UnreadableError, open_image, quiet, read_content, reason
from ssl_mix.datasets.decode_many import Progress, Reading, in_threads, read_at
from ssl_mix.datasets.originals import Form
from ssl_mix.datasets.packed import Paths
from ssl_mix.datasets.pixels import Original, with_channels
from ssl_mix.datasets.stamps import Stamp


class Contents(Protocol):
    """N image files, wherever they are."""

    def __len__(self) -> int:
        """N."""

    def name(self, position: int) -> str:
        """How a file is called; its suffix is that of its format."""

    def content(self, position: int) -> bytes:
        """What is in a file."""

    def key(self, position: int) -> str:
        """Where a file lies, which no other has."""

    def stamps(self, positions: Sequence[int]) -> Sequence[Stamp]:
        """Of some files, numbers that differ once their contents may have changed."""


class Encoded:
    """Some of the files in ``contents`` as ``Originals``.

    Args:
        contents: holds the files.
        positions: of those there; default: all.
    """

    def __init__(self, contents: Contents, positions: Sequence[int] | None = None) -> None:
        self.contents = contents
        every = range(len(contents)) if positions is None else positions
        self.positions = torch.tensor(every, dtype=torch.int64)
        self.files: Paths | None = None

    def __len__(self) -> int:
        return len(self.positions)

    def copied(self, form: Form) -> int:
        """See ``Originals``."""
        del form
        return len(self)

    def original(self, position: int, channels: int) -> Original:
        """See ``Originals``."""
        name, content = self.file(position)
        with quiet():
            return with_channels(open_image(name, content).image, channels)

    def stored(self, position: int, form: Form) -> Tensor:
        """See ``Originals``.

        Raises:
            ValueError: it cannot be read as an image.
        """
        name, content = self.file(position)
        try:
            with quiet():
                return torch.from_numpy(read_content(name, content, *form)[0].copy())
        except Exception as error:  # broken files make Pillow raise almost anything
            raise UnreadableError(f"{name} cannot be read as an image: {reason(error)}") from error

    def read(self, form: Form, *, keep: bool, progress: Progress | None, label: str) -> Reading:
        """See ``Originals``."""
        names = Paths(self.contents.name(int(position)) for position in self.positions)
        shape = len(self), form.channels, form.size, form.size
        return read_at(
            lambda position: read_content(*self.file(position), form.size, form.channels, form.fit),
            names,
            shape,
            keep=keep,
            progress=progress,
            label=label,
        )

    def subset(self, positions: Sequence[int]) -> "Encoded":
        """See ``Originals``."""
        return Encoded(self.contents, self.positions[torch.tensor(positions, dtype=torch.int64)].tolist())

    def sizes(self) -> set[tuple[int, int]]:
        """See ``Originals``; files that are no images are passed over."""

        def size(position: int) -> tuple[int, int] | None:
            try:
                return open_image(*self.file(position)).image.size
            except Exception:  # reading it will tell what is wrong
                return None

        return {found for found in in_threads(size, len(self), None, "") if found is not None}

    def file(self, position: int) -> tuple[str, bytes]:
        """Name and content of one."""
        at = int(self.positions[position])
        return self.contents.name(at), self.contents.content(at)
